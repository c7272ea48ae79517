"""Promise 1 with nodes that restart from their files: clean, killed, or with the end of the file lost."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.core.test_delivery_model import ORIGINS, Delivery, Node
from tocsin.core.buffer import Buffer
from tocsin.core.cursor import buffer_id
from tocsin.core.lasting import LastingBuffer, Marks
from tocsin.core.page import Entry
from tocsin.storage.records import FORMAT, Closed, Header, frame, of_entry, read

NODES = ["http://n1", "http://n2"]


class FiledNode(Node):
    """A node whose buffer is in a file, which is a string of bytes here."""

    def _empty(self) -> Buffer:
        buffer = LastingBuffer(self._id(), retain=10.0, max_events=6)
        self._begin(buffer)
        return buffer

    def _id(self) -> str:
        return buffer_id(self.cluster, self.name, self.life)

    def _begin(self, buffer: LastingBuffer) -> None:
        """A new file with what the buffer holds; what is at its beginning cannot be lost."""
        held = buffer.snapshot()
        header = Header(FORMAT, buffer.id, self.life, "", held.last, dict(buffer.prior))
        everything: list[Entry | Marks] = [*held.marks, *held.entries]
        self.file = bytearray(frame(header) + b"".join(map(of_entry, everything)))
        self.safe = len(self.file)
        buffer.keep = self._keep

    def _keep(self, entry: Entry | Marks) -> None:
        self.file += of_entry(entry)

    def prune_file(self) -> None:
        """The file is written anew."""
        assert isinstance(self.buffer, LastingBuffer)
        self._begin(self.buffer)

    def revive(self, content: bytes, now: float) -> None:
        """A new life from what is left of the file."""
        found = read(content)
        prior = dict(found.header.prior)
        self.life += 1
        buffer = LastingBuffer(found.header.id if found.clean else self._id(), retain=10.0, max_events=6)
        if not found.clean:
            prior[found.header.id] = found.held.last
        buffer.restore(found.held, prior, now)
        self.buffer = buffer
        self._begin(buffer)


class Restarting(Delivery):
    """The world of the delivery model, in which nodes keep their buffer over a restart."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes = {url: FiledNode(node.name) for url, node in self.nodes.items()}

    @rule(name=st.sampled_from(NODES), clean=st.booleans(), data=st.data())
    def restart_from_its_file(self, name: str, clean: bool, data: st.DataObject) -> None:
        """What was seen beyond the end that is left must come from elsewhere, or be told as a loss."""
        node = self.nodes[name]
        assert isinstance(node, FiledNode)
        content = bytes(node.file)
        if clean:
            content += frame(Closed(node.buffer.last))
        else:
            content = content[: data.draw(st.integers(node.safe, len(content)))]
        node.revive(content, self.clock)
        seen = node.buffer.seen()
        for origin in ORIGINS:
            node.got[origin] = sum(e.sequence <= seen.get(origin, "") for e in self.truth[origin])

    @rule(name=st.sampled_from(NODES))
    def prune_the_file(self, name: str) -> None:
        """A node writes its file anew."""
        node = self.nodes[name]
        assert isinstance(node, FiledNode)
        node.prune_file()


TestRestarts = Restarting.TestCase
TestRestarts.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
