"""What boto3 and its libraries raise, and what it means to us: the one place where S3's errors are translated."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, UndefinedModelAttributeError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from proxy.errors import DiskFull, MedialinkError, SourceReplaced, StoreAway

FOREIGN = (
    BotoCoreError,
    Boto3Error,
    ClientError,
    HTTPError,  # a body is read through urllib3, and StreamingBody translates two of its errors only
    ResponseParserError,
    UndefinedModelAttributeError,
    KeyError,  # an answer without a header that S3 always sends
    RecursionError,  # botocore asks for the region of a 301 by a HEAD, whose 301 asks again (S3RegionRedirectorv2)
    ValueError,  # botocore's parser takes int() and dates of headers as they come
)
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def translated(missing: MedialinkError | None = None) -> Iterator[None]:
    """Turn foreign errors into ours; `missing` is what an absent object means to this caller."""
    try:
        yield
    except ClientError as error:
        raise _meaning_of(error, missing) from error
    except FOREIGN as error:
        raise StoreAway from error
    except OSError as error:  # of the caller's own file: botocore wraps those of the network
        raise (DiskFull if error.errno in _NO_ROOM else StoreAway) from error


def status_of(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def code_of(error: ClientError) -> str:
    """Name the error as S3 does; the answer to a HEAD has no body, and so its number only."""
    return error.response.get("Error", {}).get("Code", "")


def _meaning_of(error: ClientError, missing: MedialinkError | None) -> MedialinkError:
    status, code = status_of(error), code_of(error)
    if status == HTTPStatus.INSUFFICIENT_STORAGE:
        return DiskFull()
    if missing is not None and status == HTTPStatus.NOT_FOUND and code != "NoSuchBucket":
        return missing
    # 405: the version is a delete marker. InvalidArgument: a version id that this store never gave (S3 API, GetObject).
    replaced = status in {HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.PRECONDITION_FAILED} or code == "InvalidArgument"
    return missing if isinstance(missing, SourceReplaced) and replaced else StoreAway()
