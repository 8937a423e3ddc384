"""What arguments of layers and models may be: names for annotations.

`Any` is left in public signatures where a checker of types cannot know more: in configurations, which hold whatever a
constructor takes; in results that an option decides, such as states beside y, or a list of numbers in the place of one;
in the logs of callbacks; and in what a function of the caller's own takes and returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict

from numpy.typing import ArrayLike, DTypeLike, NDArray

if TYPE_CHECKING:
    from .callbacks import Callback, CallbackList
    from .constraints import Constraint
    from .initializers import Initializer
    from .losses import Loss
    from .metrics import Metric
    from .optimizers import Optimizer
    from .regularizers import Regularizer

Array: TypeAlias = NDArray[Any]
Config: TypeAlias = Mapping[str, Any]
"""What `get_config`, or `serialize`, returns."""
ShapeLike: TypeAlias = Sequence[int | None]

# what is asked for by its name, or made by the caller
ActivationLike: TypeAlias = str | Callable[..., Any] | None
InitializerLike: TypeAlias = "str | Initializer | Config"
RegularizerLike: TypeAlias = "str | Regularizer | Config | None"
ConstraintLike: TypeAlias = "str | Constraint | Config | None"
LossLike: TypeAlias = "str | Loss | Callable[..., Array] | Config"
MetricLike: TypeAlias = "str | Metric | Counting | Callable[..., ArrayLike] | Config"
OptimizerLike: TypeAlias = "str | Optimizer | Config"
Metrics: TypeAlias = "MetricLike | Sequence[MetricLike] | None"
Callbacks: TypeAlias = "Callback | CallbackList | Sequence[object] | None"
"""In a list, any object with hooks is a callback."""
Verbose: TypeAlias = int | Literal["auto"]

# data
BatchLike: TypeAlias = ArrayLike | tuple[ArrayLike, ...] | Mapping[str, ArrayLike | None]
"""x, (x, y), (x, y, sample_weight), or a dict of these, lengths and mask."""
Data: TypeAlias = "ArrayLike | Iterable[BatchLike] | Numbered"
ValidationData: TypeAlias = "tuple[ArrayLike, ...] | Mapping[str, ArrayLike | None] | Iterable[BatchLike] | Numbered"
Tree: TypeAlias = "Array | Sequence[Tree] | Mapping[Any, Tree]"
"""Arrays, or whatever holds some: records of weights too."""
StateLike: TypeAlias = ArrayLike | Sequence[ArrayLike]
"""[h, c], or [h], or h."""


class Common(TypedDict, total=False):
    """What every layer takes."""

    name: str | None
    dtype: DTypeLike
    input_shape: ShapeLike | None
    trainable: bool


class Numbered(Protocol):
    """Batches by their numbers, as Keras's PyDataset has them."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int, /) -> BatchLike: ...


class Counting(Protocol):
    """Whatever has these is a metric."""

    name: str

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = ..., /) -> None: ...
    def result(self) -> Any: ...
    def reset_state(self) -> None: ...


class Configured(Protocol):
    """What can be described and made again."""

    def get_config(self) -> dict[str, Any]: ...


class Communicator(Protocol):
    """What `fit` uses of a communicator of mpi4py."""

    def Get_rank(self) -> int: ...
    def Get_size(self) -> int: ...
    def Allreduce(self, sendbuf: Any, recvbuf: Any, /) -> None: ...
    def Bcast(self, buf: Any, /, root: int = ...) -> None: ...
    def allgather(self, sendobj: Any, /) -> list[Any]: ...
    def bcast(self, obj: Any, /, root: int = ...) -> Any: ...
    def Abort(self, errorcode: int = ..., /) -> Any: ...
