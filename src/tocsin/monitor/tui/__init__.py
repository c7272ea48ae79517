"""The page in a terminal: ``tocsin top``. Needs Textual (the extra ``tui``); nothing else imports this.

* :mod:`.model`: the board as banner, tree and tables; pure;
* :mod:`.live`: the board and the events, kept fresh through any node; no terminal;
* :mod:`.rows`, :mod:`.screens`, :mod:`.app`: what is seen. Messages go up, attributes down.
"""
