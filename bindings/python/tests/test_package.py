"""What the package says of itself: stubs, hierarchy, docstrings."""

import ast
import inspect
from pathlib import Path

import arrow_zerobus_sdk_wrapper as wrapper
import arrowport
from arrowport import _native, zerobus


def test_the_stub_has_what_the_extension_has():
    tree = ast.parse(Path(arrowport.__file__).with_name("_native.pyi").read_text())
    stubbed = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            stubbed[node.name] = {item.name for item in node.body
                                  if isinstance(item, ast.FunctionDef)} - {"__init__"}
        elif isinstance(node, ast.FunctionDef):
            stubbed[node.name] = None
    real = {}
    for name, value in vars(_native).items():
        if inspect.isclass(value):
            real[name] = {member for member in vars(value)
                          if not member.startswith("__") or member.startswith("__arrow")}
        elif callable(value) and not name.startswith("_"):
            real[name] = None
    assert stubbed == real


def test_every_option_of_the_stub_is_known_to_the_extension():
    """A field of Options that the extension does not know would fail only when used."""
    wrong = object()
    for field in inspect.signature(zerobus.Options).parameters:
        if field in ("endpoint", "table", "observer"):
            continue
        try:
            _native.ZerobusWriter({"endpoint": "http://x", "table": "a.b.c", field: wrong})
        except zerobus.ConfigurationError as error:
            assert "is not an option" not in str(error), field
            assert field in str(error)


def test_all_exceptions_are_below_one():
    for module in (arrowport, zerobus, wrapper):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) and issubclass(value, BaseException):
                assert issubclass(value, arrowport.Error), name
                assert value.__name__ == name
    assert wrapper.ConnectionError is zerobus.ConnectionError
    assert issubclass(wrapper.AuthenticationError, wrapper.ZerobusError)


def test_public_names_have_docstrings():
    for module in (arrowport, zerobus, wrapper):
        assert module.__doc__
        for name in module.__all__:
            value = getattr(module, name)
            if not inspect.isclass(value):
                continue
            assert value.__doc__, name
            for member, function in vars(value).items():
                if not member.startswith("_") and inspect.isfunction(function):
                    assert inspect.getdoc(function), f"{name}.{member}"
