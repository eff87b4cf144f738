"""Whether a bucket keeps the versions of its objects: a link to a replaced one lives as long as its version does."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from proxy.storage.foreign import translated

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

NO_VERSIONS = (
    "The bucket keeps no versions: once an object is replaced, its old links answer 410 where no cache has them. "
    "Switch versioning on."
)


def keeps_versions(client: "S3Client", bucket: str) -> bool | None:
    """Ask the bucket; None where it does not tell: s3:GetBucketVersioning is not needed, and look-alikes lack it."""
    with translated():
        try:
            return client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled"
        except ClientError:
            return None
