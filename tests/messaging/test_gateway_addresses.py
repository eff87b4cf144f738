"""Whose object a link names: ours by its host and bucket, and by nothing that only looks so."""

import pytest

from proxy.messaging.addresses import Addresses

PUBLIC = "https://media.example.com"


def known(store: str = "s3://shop/media", **given: str) -> Addresses:
    return Addresses.of(
        store,
        endpoint_url=given.get("endpoint"),
        region=given.get("region"),
        public_url=PUBLIC,
        alias_prefixes=("open/",),
    )


@pytest.mark.parametrize(
    "link",
    [
        pytest.param("s3://shop/media/a/b.jpg", id="s3"),
        pytest.param("S3://shop/media/a/b.jpg", id="S3"),
        pytest.param("https://shop.s3.amazonaws.com/media/a/b.jpg", id="virtual host"),
        pytest.param("https://SHOP.S3.amazonaws.com:443/media/a/b.jpg", id="capitals and a port"),
        pytest.param("http://shop.s3.amazonaws.com/media/a/b.jpg", id="http"),
        pytest.param("https://shop.s3.eu-central-1.amazonaws.com/media/a/b.jpg", id="region"),
        pytest.param("https://shop.s3-eu-west-1.amazonaws.com/media/a/b.jpg", id="region, as of old"),
        pytest.param("https://shop.s3.dualstack.us-east-2.amazonaws.com/media/a/b.jpg", id="dualstack"),
        pytest.param("https://shop.s3-accelerate.amazonaws.com/media/a/b.jpg", id="accelerated"),
        pytest.param("https://shop.s3-accelerate.dualstack.amazonaws.com/media/a/b.jpg", id="both"),
        pytest.param("https://shop.s3-fips.us-west-2.amazonaws.com/media/a/b.jpg", id="fips"),
        pytest.param("https://s3.amazonaws.com/shop/media/a/b.jpg", id="path style"),
        pytest.param("https://s3.ap-southeast-2.amazonaws.com/shop/media/a/b.jpg", id="path style, region"),
        pytest.param("https://s3-external-1.amazonaws.com/shop/media/a/b.jpg", id="path style, as of old"),
        pytest.param(
            "https://shop.s3.amazonaws.com/media/a/b.jpg?X-Amz-Signature=0&X-Amz-Expires=3600", id="presigned"
        ),
        pytest.param("https://shop.s3.amazonaws.com/media/%61%2fb.jpg", id="escaped"),
    ],
)
def test_an_object_of_our_bucket_at_aws_is_known_by_all_of_its_addresses(link: str) -> None:
    assert known().keys_of(link) == ("a/b.jpg",)
    assert known(endpoint="https://s3.eu-central-1.amazonaws.com").keys_of(link) == ("a/b.jpg",)


@pytest.mark.parametrize(
    "link",
    [
        pytest.param("https://other.s3.amazonaws.com/media/a.jpg", id="another bucket"),
        pytest.param("https://s3.amazonaws.com/other/media/a.jpg", id="another bucket in the path"),
        pytest.param("s3://other/media/a.jpg", id="another bucket by s3"),
        pytest.param("https://my.shop.s3.amazonaws.com/media/a.jpg", id="a longer bucket"),
        pytest.param("https://shop.s3.amazonaws.com/elsewhere/a.jpg", id="outside of our prefix"),
        pytest.param("https://shop.s3.amazonaws.com/mediathek/a.jpg", id="a longer prefix"),
        pytest.param("https://shop.s3.amazonaws.com.example.com/media/a.jpg", id="a host that begins so"),
        pytest.param("https://shop.s3.evil.amazonaws.com/media/a.jpg", id="no region"),
        pytest.param("https://example.com/shop.s3.amazonaws.com/media/a.jpg", id="the host in the path"),
        pytest.param("https://shop.s3.amazonaws.com@example.com/media/a.jpg", id="the host as a user"),
        pytest.param("https://user@shop.s3.amazonaws.com/media/a.jpg", id="with a user"),
        pytest.param("https://shop.s3.amazonaws.com:8443/media/a.jpg", id="another port"),
        pytest.param("https://shop.s3.amazonaws.com:x/media/a.jpg", id="no port"),
        pytest.param("https://[shop/media/a.jpg", id="half an address"),
        pytest.param("https://shop.s3.cn-north-1.amazonaws.com.cn/media/a.jpg", id="the bucket of that name in China"),
        pytest.param("https://shop.s3.us-gov-west-1.amazonaws.com/media/a.jpg", id="that of a government"),
        pytest.param("https://shop.s3-website-us-east-1.amazonaws.com/media/a.jpg", id="a website"),
        pytest.param("https://shop.s3.amazonaws.com/media/a.jpg?versionId=3", id="one version"),
        pytest.param("https://shop.s3.amazonaws.com/media/%ff.jpg", id="not UTF-8"),
        pytest.param("gs://shop/media/a.jpg", id="the bucket of that name at Google"),
        pytest.param("https://storage.googleapis.com/shop/media/a.jpg", id="the same by https"),
        pytest.param("ftp://shop.s3.amazonaws.com/media/a.jpg", id="ftp"),
        pytest.param("shop/media/a.jpg", id="no address"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_lies_elsewhere_is_foreign(link: str) -> None:
    assert known().keys_of(link) == ()


def test_partitions_have_buckets_of_their_own() -> None:
    china = known(region="cn-north-1")
    assert china.keys_of("https://shop.s3.cn-north-1.amazonaws.com.cn/media/a.jpg") == ("a.jpg",)
    assert china.keys_of("https://shop.s3.amazonaws.com/media/a.jpg") == ()
    government = known(region="us-gov-west-1")
    assert government.keys_of("https://shop.s3.us-gov-west-1.amazonaws.com/media/a.jpg") == ("a.jpg",)


def test_aws_reads_a_plus_as_a_space_so_that_comes_first() -> None:
    assert known().keys_of("https://shop.s3.amazonaws.com/media/a+b%2Bc.jpg") == ("a b+c.jpg", "a+b+c.jpg")
    assert known().keys_of("s3://shop/media/a+b.jpg") == ("a+b.jpg",)
    at_home = known(endpoint="http://minio:9000")
    assert at_home.keys_of("http://minio:9000/shop/media/a+b.jpg") == ("a+b.jpg",)


@pytest.mark.parametrize(
    ("endpoint", "link", "keys"),
    [
        pytest.param("http://minio:9000", "http://minio:9000/shop/media/a.jpg?X-Amz-Date=1", ("a.jpg",), id="path"),
        pytest.param("http://minio:9000", "http://shop.minio:9000/media/a.jpg", ("a.jpg",), id="virtual host"),
        pytest.param("http://minio:9000", "http://minio/shop/media/a.jpg", (), id="another port"),
        pytest.param("http://minio:9000", "https://shop.s3.amazonaws.com/media/a.jpg", (), id="that name at AWS"),
        pytest.param("https://r2.example/base", "https://r2.example/base/shop/media/a.jpg", ("a.jpg",), id="below"),
        pytest.param("https://r2.example/base", "https://r2.example/shop/media/a.jpg", (), id="beside"),
        pytest.param("https://r2.example", "http://r2.example:80/shop/media/a.jpg", ("a.jpg",), id="default ports"),
        pytest.param("https://storage.googleapis.com", "gs://shop/media/a b.jpg", ("a b.jpg",), id="gs"),
        pytest.param("https://storage.googleapis.com", "s3://shop/media/a.jpg", ("a.jpg",), id="GCS as s3"),
        pytest.param(
            "https://storage.googleapis.com", "https://storage.googleapis.com/shop/media/a.jpg", ("a.jpg",), id="GCS"
        ),
        pytest.param(
            "https://storage.googleapis.com", "https://shop.storage.googleapis.com/media/a.jpg", ("a.jpg",), id="GCS 2"
        ),
        pytest.param(
            "https://storage.googleapis.com",
            "https://storage.googleapis.com/shop/media/a.jpg?generation=7",
            (),
            id="one generation",
        ),
    ],
)
def test_a_store_of_another_endpoint_is_known_there_and_nowhere_else(
    endpoint: str, link: str, keys: tuple[str, ...]
) -> None:
    assert known(endpoint=endpoint).keys_of(link) == keys


@pytest.mark.parametrize("store", ["s3://shop", "file:///var/media", ""])
@pytest.mark.parametrize(
    ("path", "keys"),
    [
        pytest.param("/image/open/a.jpg", ("open/a.jpg",), id="alias"),
        pytest.param("/image/open/a.webp.jpg?v=2", ("open/a.webp.jpg", "open/a.webp"), id="alias of a JPEG"),
        pytest.param("/document/open/%C3%A4%20b.pdf", ("open/ä b.pdf",), id="escaped"),
        pytest.param("/image/closed/a.jpg", (), id="closed"),
        pytest.param("/image/op%65n/a.jpg", ("open/a.jpg",), id="an escaped letter"),
        pytest.param("/image/open%2Fa.jpg", (), id="a hidden slash"),
        pytest.param("/gif/open/a.gif", (), id="no kind"),
        pytest.param("/m/tag/token/a.jpg", (), id="a link"),
    ],
)
def test_an_alias_of_ours_is_known_where_it_is_open(store: str, path: str, keys: tuple[str, ...]) -> None:
    assert known(store).keys_of(PUBLIC + path) == keys
    assert known(store).keys_of(f"https://media.example.com.evil{path}") == ()


def test_a_folder_has_no_address_but_ours() -> None:
    folder = known("file:///var/media")
    for link in ("file:///var/media/a.jpg", "s3://shop/a.jpg", "https://s3.amazonaws.com//a.jpg", "https:///a.jpg"):
        assert folder.keys_of(link) == ()
