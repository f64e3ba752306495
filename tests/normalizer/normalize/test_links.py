"""What becomes a link, and that no credential leaves in one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.normalizer.normalize import values
from services.normalizer.normalize.links import as_link, read_link, without_credentials


@pytest.mark.parametrize(
    ("written", "link"),
    [
        ("https://example.com/a", "https://example.com/a"),
        ("s3://bucket/my model", "s3://bucket/my%20model"),
        ("models:/churn/7", "models:/churn/7"),
        ("dbfs:/models/my model", "dbfs:/models/my%20model"),
        ("s3://b/m?endpoint=https%3A%2F%2Fminio.example.com", "s3://b/m?endpoint=https%3A%2F%2Fminio.example.com"),
        ("see https://example.com", None),
        ("apache-2.0", None),
        ("example.com/a", None),
        ("/mnt/models/x", None),
        ("C:/models/x", None),
        ("https://", None),
        ("", None),
    ],
)
def test_links(written: str, link: str | None) -> None:
    assert as_link(written) == link


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://bot:CANARY@git.example.com/m.onnx", "https://git.example.com/m.onnx"),
        ("https://CANARY@git.example.com/m.onnx", "https://git.example.com/m.onnx"),
        ("s3://KEY:CANARY@bucket/m", "s3://bucket/m"),
        ("ssh://git:CANARY@git.example.com/m", "ssh://git@git.example.com/m"),
        ("abfss://models:CANARY@acme.dfs.example.com/m", "abfss://models@acme.dfs.example.com/m"),
        ("https://a.example.com/m?sv=2024-11-04&sr=c&sig=CANARY%3D", "https://a.example.com/m?sv=2024-11-04&sr=c"),
        ("https://a.example.com/m?X-Amz-Credential=CANARY&x-amz-signature=CANARY", "https://a.example.com/m"),
        ("https://a.example.com/m?X-Goog-Signature=CANARY&alt=media", "https://a.example.com/m?alt=media"),
        (
            "https://a.example.com/m?AWSAccessKeyId=CANARY&Signature=CANARY&Expires=1",
            "https://a.example.com/m?Expires=1",
        ),
        ("https://a.example.com/m?access_token=CANARY#top", "https://a.example.com/m#top"),
        ("https://a.example.com/m#id_token=CANARY", "https://a.example.com/m"),
        ("https://a.example.com/m?a=1;client%5Fsecret=CANARY", "https://a.example.com/m?a=1"),
        (
            "s3://b/m?endpoint=https%3A%2F%2Fu%3ACANARY%40minio.example.com&region=x",
            "s3://b/m?endpoint=https%3A%2F%2Fminio.example.com&region=x",
        ),
        ("models:/churn/7?token=CANARY", "models:/churn/7"),
    ],
)
def test_credentials_are_removed_and_the_rest_is_kept(written: str, kept: str) -> None:
    link = read_link(written)
    assert link is not None
    assert (link.url, link.stripped) == (kept, True)
    assert "CANARY" not in values.shown(written)


@pytest.mark.parametrize(
    "written",
    [
        "oci://quay.io:5000/acme/model@sha256:0123",
        "hf://acme/model@main",
        "abfss://models@acme.dfs.example.com/m",
        "ssh://git@git.example.com/m",
        "https://a.example.com/m?tokenizer=x&max_tokens=4&design=y",
        "https://medium.example.com/@jane/post?a&b=&&",
    ],
)
def test_what_only_looks_like_credentials_is_kept(written: str) -> None:
    assert read_link(written) == (written, False)


def test_credentials_in_texts_are_removed() -> None:
    text = "Why? See\thttps://u:pa/CANARY@example.com/x?token=CANARY&a=1\nand oci://quay.io:5000/m@sha256:0; a=b?"
    assert without_credentials(text) == "Why? See\thttps://example.com/x?a=1\nand oci://quay.io:5000/m@sha256:0; a=b?"
    assert "CANARY" not in values.shown("https://u:pa/CANARY@example.com")


_WORD = st.text("abcXYZ019-_.~:/?#&;=@% \n", max_size=12)


@given(_WORD, st.sampled_from(["https", "s3", "oci", "models", "abfs"]), _WORD)
def test_what_is_kept_holds_no_credentials_any_more(before: str, scheme: str, after: str) -> None:
    text = f"{before}{scheme}://{after}"
    once = without_credentials(text)
    assert without_credentials(once) == once
    if link := read_link(text):
        assert read_link(link.url) == (link.url, False)
