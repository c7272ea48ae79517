"""Tocsin: event notification for clusters.

The way of the data, and the words (DESIGN.md of the project, ``docs/design.md`` here):

* **generators** (:mod:`tocsin.generators`) observe a part of a node and publish **events**;
* the **local bus** (:mod:`tocsin.core.bus`) hands an event to everything on the node;
* the **forwarder** (:mod:`tocsin.forwarder`) sends it to all other nodes over the **rails**;
* the **board** is the current state, the **buffer** the recent events, numbered;
* the **feed** (:mod:`tocsin.web`) is the buffer over HTTP, read with a **cursor**;
* a **monitor** (:mod:`tocsin.monitor`, ``static/monitor.js``) polls the feed and never
  misses an event silently: it gets it once, or it is told of a **gap**.

Importing this package loads no third-party package but msgspec.
"""

__version__ = "0.1.0"
