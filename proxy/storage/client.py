"""boto3's client for S3, set up for S3 and for what speaks it."""

from typing import TYPE_CHECKING

from boto3.session import Session
from botocore.config import Config

from proxy.storage.hangups import make_endable

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from proxy.storage.s3 import S3Settings


def open_client(settings: "S3Settings") -> "S3Client":
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
        # GCS, R2, B2 and old MinIO refuse the checksums that botocore 1.36 adds (boto3#4392, #4400; s3transfer#327).
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=2 * settings.threads,
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
    )
    session = Session(
        aws_access_key_id=settings.access_key_id,
        aws_secret_access_key=settings.secret_access_key,
        region_name=settings.region,
    )
    client = session.client("s3", endpoint_url=settings.endpoint_url, config=config)
    make_endable(client)
    return client
