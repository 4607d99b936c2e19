"""The verdict of a gate as JUnit XML, which CI systems show as tests.

A check is a test case: one that failed has a `failure`, one that is undecided an `error`, one that
was not looked at is `skipped`.

References:
    The Apache Ant task that the format comes from, and the schema that Jenkins reads it by:
    https://github.com/testmoapp/junitxml, https://github.com/windyroad/JUnit-Schema
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from quantbench.core.gate import Gate
from quantbench.core.printable import printable
from quantbench.reports.gate import headline, reason_text, value_text, written

# What `printable` leaves, and XML 1.0 has no way to write.
_NOT_XML = re.compile("[\ufffe\uffff]")
_ELEMENTS = {"fail": "failure", "undecided": "error", "skipped": "skipped"}


def gate_junit(gate: Gate) -> str:
    """A `testsuites` element with one suite, in UTF-8."""
    outcomes = [check.outcome for check in gate.checks]
    counts = {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("fail")),
        "errors": str(outcomes.count("undecided")),
        "skipped": str(outcomes.count("skipped")),
    }
    root = ElementTree.Element("testsuites", {"name": "quantbench gate", **counts})
    name = _text(f"quantbench gate {gate.run}")
    suite = ElementTree.SubElement(root, "testsuite", {"name": name, **counts})
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in _properties(gate).items():
        ElementTree.SubElement(properties, "property", {"name": _text(key), "value": _text(value)})
    for check in gate.checks:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": "quantbench.gate", "name": _text(check.name)}
        )
        said = f"{check.condition}: {value_text(check)}; {reason_text(check)}"
        if check.outcome in _ELEMENTS:
            element = ElementTree.SubElement(
                case, _ELEMENTS[check.outcome], {"message": _text(reason_text(check))}
            )
            element.text = _text(f"{headline(gate)}\n{said}")
        else:
            ElementTree.SubElement(case, "system-out").text = _text(said)
    ElementTree.indent(root)
    declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return declaration + ElementTree.tostring(root, encoding="unicode") + "\n"


def _properties(gate: Gate) -> dict[str, str]:
    return {
        "run": gate.run,
        **({} if gate.baseline is None else {"baseline": gate.baseline}),
        "row": "none" if gate.row is None else str(gate.row),
        **({} if gate.trial_id is None else {"trial_id": gate.trial_id}),
        "outcome": gate.outcome,
        **{f"parameter.{name}": written(value) for name, value in gate.parameters.items()},
    }


def _text(value: str) -> str:
    """Text that XML can hold: control characters are written out. Escaping is ElementTree's."""
    return _NOT_XML.sub("?", printable(value))
