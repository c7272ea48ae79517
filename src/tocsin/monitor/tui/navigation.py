"""The tree of subsystems. A refresh changes what its entries say, never where the reader is in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from tocsin.core.verdict import WORDS
from tocsin.logs import printable
from tocsin.monitor.tui.looks import Looks
from tocsin.monitor.tui.model import EVERYTHING, Branch, Scope

__all__ = ["Navigation"]


class Navigation(Tree[Scope]):
    """Shows branches; tells what the reader chooses."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("right", "unfold", "Unfold", show=False),
        Binding("left", "fold", "Fold", show=False),
    ]

    class Chosen(Message):
        """The cursor came to an entry."""

        def __init__(self, scope: Scope) -> None:
            super().__init__()
            self.scope = scope

    class Entered(Chosen):
        """An entry was entered."""

    def __init__(self, looks: Looks, *, id: str) -> None:
        super().__init__("", EVERYTHING, id=id)
        self.show_root = False
        self.guide_depth = 2
        self.auto_expand = False
        self._looks = looks
        self._known: dict[Scope, TreeNode[Scope]] = {}

    # -- what it shows ---------------------------------------------------------------------------

    def show(self, branches: Sequence[Branch]) -> None:
        """Brings the entries up to date."""
        wanted = [branch.scope for branch in branches]
        if [node.data for node in self.root.children] != wanted:
            self._put(self.root, branches)
        for branch in branches:
            self._label(branch)
            node = self._known[branch.scope]
            if [leaf.data for leaf in node.children] != [leaf.scope for leaf in branch.leaves]:
                self._put(node, branch.leaves)
            for leaf in branch.leaves:
                self._label(leaf)
        self.cursor_line = max(self.cursor_line, 0)

    def _put(self, parent: TreeNode[Scope], branches: Sequence[Branch]) -> None:
        """Removes entries that are no more, and puts new ones where they belong."""
        wanted = {branch.scope for branch in branches}
        for node in list(parent.children):
            if node.data is not None and node.data not in wanted:
                self._forget(node)
        for place, branch in enumerate(branches):
            if branch.scope not in self._known:
                before = place if place < len(parent.children) else None
                added = parent.add("", branch.scope, before=before, allow_expand=bool(branch.leaves))
                self._known[branch.scope] = added

    def _forget(self, node: TreeNode[Scope]) -> None:
        for each in (*node.children, node):
            if each.data is not None:
                self._known.pop(each.data, None)
        node.remove()

    def _label(self, branch: Branch) -> None:
        node = self._known[branch.scope]
        node.allow_expand = bool(branch.leaves)
        label = self._text(branch)
        if node.label != label:
            node.set_label(label)

    def _text(self, branch: Branch) -> Text:
        style = self._looks.style(branch.status)
        text = Text.assemble((self._looks.shape(branch.status), style), " ", printable(branch.title))
        if branch.number:
            text.append(f" {branch.number}", style if branch.status != "ok" else self._looks.style("faint"))
        if branch.status != "ok":
            text.append(f" {WORDS[branch.status].lower()}", style)
        return text

    # -- choosing --------------------------------------------------------------------------------

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[Scope]) -> None:
        """The content follows the cursor."""
        event.stop()
        if event.node.data is not None:
            self.post_message(self.Chosen(event.node.data))

    def on_tree_node_selected(self, event: Tree.NodeSelected[Scope]) -> None:
        """Entering leads to the content."""
        event.stop()
        if event.node.data is not None:
            self.post_message(self.Entered(event.node.data))

    def action_unfold(self) -> None:
        """Unfolds a branch."""
        if self.cursor_node is not None and self.cursor_node.allow_expand:
            self.cursor_node.expand()

    def action_fold(self) -> None:
        """Folds a branch; on one of its leaves: goes to the branch."""
        node = self.cursor_node
        if node is None:
            return
        if node.is_expanded:
            node.collapse()
        elif node.parent is not None and node.parent is not self.root:
            self.move_cursor(node.parent)
