"""What an expression of PromQL asks for: metrics, and the labels by which it tells them apart."""

import dataclasses
import re

import promql_parser

_GRAFANA = (("$__rate_interval", "5m"), ("$__interval", "1m"), ("$__range", "1h"))
_VARIABLE = re.compile(r"\$\{?\w+\}?")
_SUFFIX = re.compile(r"_(bucket|count|sum|total)$")


@dataclasses.dataclass(frozen=True)
class Asked:
    """One metric that is asked for."""

    metric: str
    labels: frozenset[str]
    """In its matchers; what aggregations keep is not told by metric."""


def plain(expression: str) -> str:
    """Put in what a dashboard puts in for its variables."""
    for name, value in _GRAFANA:
        expression = expression.replace(name, value)
    return _VARIABLE.sub(".*", expression)


def asked(expression: str) -> set[Asked]:
    """Parse an expression, a dashboard's too; raise ValueError where it is none."""
    found: set[Asked] = set()

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql_parser.VectorSelector):
            labels = frozenset(each.name for each in node.matchers.matchers)
            found.add(Asked(str(node.name), labels))
        return True

    promql_parser.walk(promql_parser.parse(plain(expression)), visit)
    return found


def family(metric: str) -> str:
    """Give the name under which a metric says what it is."""
    return _SUFFIX.sub("", metric)
