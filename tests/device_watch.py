"""A stand-in for a GPU on machines without one: the meta device, and a watch on every operation.

The meta device runs shapes and no numbers. By itself it lets some mistakes pass that CUDA would not
(linear layers, embeddings and indexing take tensors of another device); the watch refuses any
operation whose tensors lie on two devices, and any that would make the host wait for the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")
aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default}
SYNCS = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten._unique2.default,
    aten.equal.default,
    aten.repeat_interleave.Tensor,
}


class DeviceMixError(AssertionError):
    """Tensors of two devices met in one operation."""


class HiddenSyncError(AssertionError):
    """The host had to wait for the device where it should not."""


class DeviceWatch(TorchDispatchMode):
    """Refuses mixed devices always, and syncs unless they are allowed at the moment."""

    def __init__(self) -> None:
        super().__init__()
        self.syncs = 0
        self.products_after_a_sync = 0
        self._allowed = False

    @contextmanager
    def allow_syncs(self) -> Iterator[None]:
        """Reading results is what evaluation is for; numbers read this way are zeros."""
        before, self._allowed = self._allowed, True
        try:
            yield
        finally:
            self._allowed = before

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with self:  # inference mode hands over whole ones such as linear; the parts are watched
            parts = op.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        on_meta = any(t.device == META for t in tensors)
        if op in COPIES and on_meta and _target(op, args, kwargs) != META:
            return self._sync(op, args, kwargs)
        if on_meta and (op in SYNCS or _indexes_by_a_mask(op, args)):
            return self._sync(op, args, kwargs)
        # A scalar on the CPU may meet a device tensor, except as an index.
        strays = [t for t in tensors if t.device != META and (t.dim() or op in _INDEXING)]
        if on_meta and strays and op not in COPIES:
            raise DeviceMixError(f"{op} got {[f'{t.device} {tuple(t.shape)}' for t in tensors]}")
        self.products_after_a_sync += bool(self.syncs and op in _PRODUCTS and on_meta)
        return op(*args, **kwargs)

    def _sync(self, op, args, kwargs):
        if not self._allowed:
            raise HiddenSyncError(f"{op} reads from the device inside the step")
        self.syncs += 1
        source = args[1] if op is aten.copy_.default else args[0]
        zeros = torch.zeros(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        if op is aten._local_scalar_dense.default:
            return zeros.item()
        if op is aten.copy_.default:
            return args[0].copy_(zeros)
        assert op is aten._to_copy.default, op
        return zeros


_INDEXING = {aten.index.Tensor, aten.index_select.default, aten.embedding.default}
_PRODUCTS = {aten.addmm.default, aten.mm.default, aten.bmm.default}


def _target(op, args, kwargs) -> torch.device:
    if op is aten.copy_.default:
        return args[0].device
    return torch.device(kwargs.get("device") or args[0].device)


def _indexes_by_a_mask(op, args) -> bool:
    masks = args[1] if op is aten.index.Tensor else ()
    return any(m is not None and m.dtype in (torch.bool, torch.uint8) for m in masks)
