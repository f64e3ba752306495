"""Which certificate authorities servers are verified against."""

from pathlib import Path

import pytest
import trustme

from common.trust import TrustError, authorities_of, read_authority, trust_also, trust_only


def test_authorities_are_added_to_the_systems(tmp_path: Path) -> None:
    pem = trustme.CA().cert_pem.bytes().decode()
    path = tmp_path / "ca.pem"
    path.write_text(f"# Prüfstelle\n{pem}")

    plain, more = trust_also([]), trust_also([read_authority("MODEL_REGISTRY_CA_FILE", path), ("ca.crt", "")])

    assert more.cert_store_stats()["x509_ca"] == plain.cert_store_stats()["x509_ca"] + 1
    assert more.verify_mode.name == "CERT_REQUIRED"
    assert more.check_hostname


def test_what_holds_no_certificate_is_an_error() -> None:
    with pytest.raises(TrustError, match=r"ca\.crt is not a certificate authority in PEM form"):
        trust_also([("ca.crt", "not a certificate")])


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrustError, match=r"MODEL_REGISTRY_CA_FILE .*missing\.pem cannot be read"):
        read_authority("MODEL_REGISTRY_CA_FILE", tmp_path / "missing.pem")


def test_what_one_context_trusts_another_can_trust_too() -> None:
    pem = trustme.CA().cert_pem.bytes().decode()
    first = trust_only(("ca.crt", pem))

    second = trust_also(authorities_of(first, "the authority of a cluster"))

    assert set(first.get_ca_certs(binary_form=True)) <= set(second.get_ca_certs(binary_form=True))
    assert authorities_of(False, "a cluster that is not verified") == []
