"""How verdicts are read back: what is kept on disks and in stores is strangers' bytes by then."""

from pydantic import TypeAdapter

from proxy.delivery.verdicts import Refused, Verdict
from proxy.media.kinds import AsIs, Made

SHAPES: dict[str, TypeAdapter[Verdict]] = {shape.__name__: TypeAdapter(shape) for shape in (AsIs, Made, Refused)}
