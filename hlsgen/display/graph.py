# SPDX-License-Identifier: Apache-2.0
"""How a Graph looks in a notebook."""

from __future__ import annotations

from typing import Any

from hlsgen.display.html import count, facts, table

LONGEST_OP = 80
"""Characters of an op's fields in the table."""


class ShownGraph:
    """A short `repr`, and the nodes as a table; `str` of a Graph has all of it."""

    input: Any
    input_type: Any
    nodes: Any
    outputs: Any

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._summary()})"

    def _summary(self) -> str:
        graph: Any = self
        ends = dict.fromkeys(self.outputs)
        first = next(iter(ends))
        more = f" and {count(len(ends) - 1, 'more output')}" if len(ends) > 1 else ""
        tasks = f", {count(graph.tasks, 'task')}" if graph.tasks > 1 else ""
        types = f"{self.input} {self.input_type} -> {first} {graph.type_of(first)}"
        return f"{types}{more}; {count(len(self.nodes), 'node')}{tasks}"

    def _repr_html_(self) -> str:
        graph: Any = self
        ends = {f"output {name}": graph.type_of(name) for name in dict.fromkeys(self.outputs)}
        rows = [
            (node.name, str(node.op)[:LONGEST_OP], ", ".join(node.inputs), node.type, node.source)
            for node in self.nodes
        ]
        title = f"Graph: {count(len(rows), 'node')}, {count(graph.tasks, 'task')}"
        head = ("tensor", "op", "of", "type", "from")
        return facts(title, {f"input {self.input}": self.input_type, **ends}) + table(head, rows)
