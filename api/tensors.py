"""Tensors of the Open Inference Protocol v2: JSON or binary in, drafts out, and back. Pure.

A request holds drafts as one BYTES tensor ``draft`` of JSON objects, or as one tensor for each
field of a draft; every tensor has one element for each draft. The binary form (extension
``binary_tensor_data``) puts the JSON first and raw little-endian tensors behind it; an element of
BYTES there is its length in 4 bytes, then so many bytes.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np

from api.errors import RequestError
from api.schemas import decode
from worlds.domain import DraftField

WHOLE = "draft"
"""The input that holds whole drafts as JSON."""
NUMBERS: Mapping[str, str] = {
    **{f"INT{8 * n}": f"<i{n}" for n in (1, 2, 4, 8)},
    **{f"UINT{8 * n}": f"<u{n}" for n in (1, 2, 4, 8)},
    **{f"FP{8 * n}": f"<f{n}" for n in (2, 4, 8)},
}
KINDS: Mapping[str, str] = {"number": "FP64", "truth": "BOOL"}
"""Datatype of a draft's field by its type; BYTES for all others."""
STRUCTURED = ("texts", "probabilities", "place")
"""Types of fields whose elements may be JSON."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Size = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Parameters = dict[str, str | bool | float]


class Input(msgspec.Struct, frozen=True):
    """A tensor of a request."""

    name: Name
    shape: Annotated[list[Size], msgspec.Meta(max_length=8)]
    datatype: Name
    data: list[Any] | None = None
    parameters: Parameters = msgspec.field(default_factory=dict)


class Output(msgspec.Struct, frozen=True):
    """A tensor that is wanted."""

    name: Name
    parameters: Parameters = msgspec.field(default_factory=dict)


class InferRequest(msgspec.Struct, frozen=True):
    """A request for predictions."""

    inputs: Annotated[list[Input], msgspec.Meta(min_length=1, max_length=200)]
    id: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    outputs: Annotated[list[Output], msgspec.Meta(max_length=50)] | None = None
    parameters: Parameters = msgspec.field(default_factory=dict)


_decoder = msgspec.json.Decoder(InferRequest)
_any = msgspec.json.Decoder()


def read(body: bytes, header: int | None) -> tuple[InferRequest, dict[str, list[Any]]]:
    """Read a request and the elements of its tensors.

    Parameters
    ----------
    body
        As it came.
    header
        Length of the JSON at its beginning; None if all of it is JSON.

    Raises
    ------
    RequestError
        If it has not the form of the protocol.
    """
    if header is not None and not 0 < header <= len(body):
        raise RequestError(f"inference-header-content-length is {header}; the body has {len(body)}")
    wanted = decode(_decoder, body if header is None else body[:header])
    raw = memoryview(body)[len(body) if header is None else header :]
    found: dict[str, list[Any]] = {}
    for tensor in wanted.inputs:
        if tensor.name in found:
            raise _wrong(tensor.name, "given twice")
        count = math.prod(tensor.shape)
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            elements = flat(tensor)
        else:
            if isinstance(size, bool) or not isinstance(size, int | float) or size < 0:
                raise _wrong(tensor.name, f"binary_data_size is {size!r}")
            if size > len(raw):
                raise _wrong(tensor.name, f"{size:g} bytes stated, {len(raw)} are there")
            elements = unpacked(tensor, bytes(raw[: int(size)]), count)
            raw = raw[int(size) :]
        if len(elements) != count:
            raise _wrong(tensor.name, f"{len(elements)} elements; the shape says {count}")
        found[tensor.name] = elements
    if len(raw):
        raise RequestError(f"{len(raw)} bytes behind the last tensor belong to none")
    return wanted, found


def flat(tensor: Input) -> list[Any]:
    """Return the elements of a JSON tensor, nested or not, in row-major order."""
    if tensor.data is None:
        raise _wrong(tensor.name, "has neither data nor binary_data_size")
    found, stack = [], [iter(tensor.data)]
    while stack:
        for element in stack[-1]:
            if isinstance(element, list):
                stack.append(iter(element))
                break
            found.append(element)
        else:
            stack.pop()
    return found


def unpacked(tensor: Input, raw: bytes, count: int) -> list[Any]:
    """Return the elements of a binary tensor."""
    if tensor.datatype == "BYTES":
        return _texts(tensor.name, raw, count)
    dtype = np.dtype("?") if tensor.datatype == "BOOL" else _dtype(tensor)
    if len(raw) != count * dtype.itemsize:
        raise _wrong(
            tensor.name, f"{len(raw)} bytes; {count} elements take {count * dtype.itemsize}"
        )
    found: list[Any] = np.frombuffer(raw, dtype).tolist()
    return found


def _dtype(tensor: Input) -> "np.dtype[Any]":
    if tensor.datatype not in NUMBERS:
        known = ", ".join(("BYTES", "BOOL", *NUMBERS))
        raise _wrong(tensor.name, f"unknown datatype {tensor.datatype!r}; known: {known}")
    return np.dtype(NUMBERS[tensor.datatype])


def _texts(name: str, raw: bytes, count: int) -> list[str]:
    found: list[str] = []
    at = 0
    while at < len(raw) and len(found) <= count:
        end = at + 4 + int.from_bytes(raw[at : at + 4], "little")
        if end > len(raw) or at + 4 > len(raw):
            raise _wrong(name, f"element {len(found)} is longer than the tensor")
        try:
            found.append(raw[at + 4 : end].decode())
        except UnicodeDecodeError as error:
            raise _wrong(name, f"element {len(found)} is no UTF-8: {error.reason}") from None
        at = end
    return found


def drafts(
    wanted: InferRequest, elements: Mapping[str, list[Any]], fields: Sequence[DraftField]
) -> list[dict[str, Any]]:
    """Return the drafts that tensors hold. An empty text, null and NaN mean not known.

    Raises
    ------
    RequestError
        If tensors are unknown, of different lengths, or of a datatype that does not fit.
    """
    known = {field.name: field for field in fields}
    count = _batch(wanted)
    found: list[dict[str, Any]] = [{} for _ in range(count)]
    for tensor in wanted.inputs:
        field = known.get(tensor.name)
        if tensor.name == WHOLE and field is None:
            found = [_draft(element, tensor.name) | one
                     for element, one in zip(elements[WHOLE], found, strict=True)]  # fmt: skip
            continue
        if field is None:
            names = ", ".join((WHOLE, *known))
            raise _wrong(tensor.name, f"unknown input; known: {names}")
        expected = KINDS.get(field.type, "BYTES")
        if tensor.datatype != expected and not (expected == "FP64" and tensor.datatype in NUMBERS):
            raise _wrong(tensor.name, f"datatype is {tensor.datatype!r}; it takes {expected}")
        for one, element in zip(found, elements[tensor.name], strict=True):
            value = _value(element, field)
            if value is not None:
                one[field.name] = value
    return found


def _batch(wanted: InferRequest) -> int:
    """Return the number of drafts: the first dimension of every tensor, the others being 1."""
    counts = set()
    for tensor in wanted.inputs:
        if not tensor.shape or math.prod(tensor.shape) != tensor.shape[0]:
            raise _wrong(tensor.name, f"shape is {tensor.shape}; it must be [n] or [n, 1]")
        counts.add(tensor.shape[0])
    if len(counts) != 1 or counts == {0}:
        raise RequestError(f"every input needs one element a draft; there are {sorted(counts)}")
    return counts.pop()


def _draft(element: Any, name: str) -> dict[str, Any]:
    found = element
    if isinstance(element, str):
        try:
            found = _any.decode(element)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise _wrong(name, f"an element is no JSON: {str(error)[:100]}") from None
    if not isinstance(found, dict):
        raise _wrong(name, "an element is no JSON object")
    return found


def _value(element: Any, field: DraftField) -> Any:
    if element is None or element == "" or (isinstance(element, float) and math.isnan(element)):
        return None
    if field.type in STRUCTURED and isinstance(element, str) and element[:1] in ("[", "{"):
        try:
            return _any.decode(element)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return element
    return element


def numbers(wanted: InferRequest, name: str, default: str) -> list[float]:
    """Return the numbers that a parameter lists with commas.

    Raises
    ------
    RequestError
        If it does not.
    """
    text = wanted.parameters.get(name, default)
    try:
        found = [float(part) for part in str(text).split(",") if part.strip()]
    except ValueError:
        raise _wrong(name, f"must list numbers with commas; got {str(text)[:80]!r}") from None
    if len(found) > 50 or not all(math.isfinite(one) for one in found):
        raise _wrong(name, "must list at most 50 finite numbers")
    return found


def written(
    head: Mapping[str, Any], tensors: Mapping[str, "np.ndarray[Any, Any]"], binary: set[str]
) -> tuple[bytes, int | None]:
    """Return a reply's body, and the length of its JSON if tensors follow it.

    Parameters
    ----------
    head
        Everything but the outputs.
    tensors
        The outputs, all FP64.
    binary
        The names of those that are wanted in binary form.
    """
    outputs, tail = [], []
    for name, values in tensors.items():
        output: dict[str, Any] = {"name": name, "datatype": "FP64", "shape": list(values.shape)}
        if name in binary:
            raw = np.ascontiguousarray(values, "<f8").tobytes()
            output["parameters"] = {"binary_data_size": len(raw)}
            tail.append(raw)
        else:
            output["data"] = values.ravel().tolist()
        outputs.append(output)
    body = msgspec.json.encode({**head, "outputs": outputs})
    return (body, None) if not tail else (b"".join([body, *tail]), len(body))


def _wrong(name: str, what: str) -> RequestError:
    return RequestError(f"{name}: {what}", [(name, what)])
