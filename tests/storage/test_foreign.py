import errno
import inspect
from types import ModuleType

import boto3.exceptions
import botocore.exceptions
import botocore.parsers
import pytest
import urllib3.exceptions
from botocore.exceptions import ClientError

from proxy.errors import DiskFull, MedialinkError, NotFound, SourceReplaced, StoreAway
from proxy.storage.foreign import translated


def classes_of(module: ModuleType) -> list[type[Exception]]:
    return [
        found
        for _, found in inspect.getmembers(module, inspect.isclass)
        if found.__module__ == module.__name__ and issubclass(found, Exception) and not issubclass(found, Warning)
    ]


LIBRARIES = (botocore.exceptions, botocore.parsers, boto3.exceptions, urllib3.exceptions)
FOREIGN_CLASSES = [found for module in LIBRARIES for found in classes_of(module)]


def test_the_list_of_foreign_classes_is_long() -> None:
    assert len(FOREIGN_CLASSES) > 100


@pytest.mark.parametrize("foreign", FOREIGN_CLASSES, ids=lambda found: f"{found.__module__}.{found.__name__}")
def test_no_foreign_class_passes_the_door(foreign: type[Exception]) -> None:
    error = foreign({}, "GetObject") if issubclass(foreign, ClientError) else foreign.__new__(foreign)
    with pytest.raises(StoreAway) as caught, translated(NotFound()):
        raise error
    assert caught.value.__cause__ is error


MEANINGS: dict[str, tuple[int, str, MedialinkError | None, type[MedialinkError]]] = {
    "missing": (404, "NoSuchKey", NotFound(), NotFound),
    "missing, said to a HEAD": (404, "404", NotFound(), NotFound),
    "missing, and not expected to be": (404, "NoSuchKey", None, StoreAway),
    "missing version": (404, "NoSuchVersion", SourceReplaced(), SourceReplaced),
    "missing bucket": (404, "NoSuchBucket", NotFound(), StoreAway),
    "missing bucket, asked for a version": (404, "NoSuchBucket", SourceReplaced(), StoreAway),
    "overwritten": (412, "PreconditionFailed", SourceReplaced(), SourceReplaced),
    "precondition nobody made": (412, "PreconditionFailed", NotFound(), StoreAway),
    "delete marker": (405, "MethodNotAllowed", SourceReplaced(), SourceReplaced),
    "method refused": (405, "MethodNotAllowed", NotFound(), StoreAway),
    "not a version id": (400, "InvalidArgument", SourceReplaced(), SourceReplaced),
    "other argument": (400, "InvalidArgument", NotFound(), StoreAway),
    "forbidden": (403, "AccessDenied", SourceReplaced(), StoreAway),
    "wrong key": (403, "SignatureDoesNotMatch", NotFound(), StoreAway),
    "moved": (301, "PermanentRedirect", NotFound(), StoreAway),
    "throttled": (503, "SlowDown", NotFound(), StoreAway),
    "broken": (500, "InternalError", SourceReplaced(), StoreAway),
    "full": (507, "XMinioStorageFull", None, DiskFull),
}


@pytest.mark.parametrize(("status", "code", "missing", "ours"), MEANINGS.values(), ids=MEANINGS.keys())
def test_an_answer_means_what_was_asked(
    status: int, code: str, missing: MedialinkError | None, ours: type[MedialinkError]
) -> None:
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(ours), translated(missing):
        raise ClientError(response, "GetObject")  # type: ignore[arg-type] # the stubs want every field


@pytest.mark.parametrize(
    ("number", "ours"),
    [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EFBIG, DiskFull), (errno.EIO, StoreAway)],
)
def test_an_error_of_our_own_disk_is_told_from_a_full_one(number: int, ours: type[MedialinkError]) -> None:
    with pytest.raises(ours), translated(NotFound()):
        raise OSError(number, "made for this test")


def test_our_own_errors_pass_as_they_are() -> None:
    error = NotFound()
    with pytest.raises(NotFound) as caught, translated(SourceReplaced()):
        raise error
    assert caught.value is error
