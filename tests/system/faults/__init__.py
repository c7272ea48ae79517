"""Real faults for real agents, and judges of what readers were told meanwhile.

* :mod:`.listed`: the table of faults; each is a few lines;
* :mod:`.network`, :mod:`.machine`: how they are injected;
* :mod:`.traffic`: who publishes and who reads, and what they noted down;
* :mod:`.judge`: what may be said of such notes: lost, repeated, out of order, gaps and whether they are true;
* :mod:`.run`: a fault on a cluster, from healthy to healthy, as a row of the table;
* ``python -m tests.system.faults``: runs them all, or some, and writes ``docs/faults.md``.
"""
