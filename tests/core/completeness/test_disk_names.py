"""Names in manifests and type files that the disk spells in another Unicode form."""

from unicodedata import normalize

from core.given import entry, manifest, observed
from deriva_watch.core.completeness.coverage import missing_files
from deriva_watch.core.completeness.disk_names import as_on_disk
from deriva_watch.core.metadata.sources import Sources, read_manifest
from deriva_watch.core.model import TableName

NFC, NFD = (normalize(form, "café.png") for form in ("NFC", "NFD"))
IMAGE = TableName("demo", "Image")


def test_a_file_is_what_describes_it_in_another_form():
    said = Sources(
        manifest(f"Image/{NFC}", metadata={"Subject": "S"}).manifest,
        types={IMAGE: {NFC: ("Image",), "other": ()}},
    )
    seen = observed(entry(f"assets/Image/{NFD}"))

    found = as_on_disk(said, seen)

    assert found.manifest
    assert found.manifest.entries[f"Image/{NFD}"].metadata == {"Subject": "S"}
    assert found.types == {IMAGE: {NFD: ("Image",), "other": ()}}
    assert "another Unicode form" in found.notices["names of files"]
    assert missing_files(said, seen) == [f"assets/Image/{NFC}"]
    assert missing_files(found, seen) == []


def test_what_is_wrong_with_an_entry_is_wrong_with_its_file():
    said = Sources(read_manifest(f'{{"assets": {{"Image/{NFC}": 5}}}}'))

    found = as_on_disk(said, observed(entry(f"assets/Image/{NFD}")))

    assert found.manifest
    assert found.manifest.problems.keys() == {f"Image/{NFD}"}


def test_a_name_that_is_there_exactly_keeps_to_it():
    said = manifest(f"Image/{NFC}")
    both = observed(entry(f"assets/Image/{NFC}"), entry(f"assets/Image/{NFD}"))
    elsewhere = observed(entry(f"assets/BoundingBox/{NFD}"))

    assert as_on_disk(said, both) == said
    assert as_on_disk(said, elsewhere) == said


def test_an_entry_for_each_form_leaves_the_one_without_a_file_missing():
    said = Sources(read_manifest(f'{{"assets": {{"Image/{NFC}": {{}}, "Image/{NFD}": {{}}}}}}'))
    seen = observed(entry(f"assets/Image/{NFD}"))

    assert missing_files(as_on_disk(said, seen), seen) == [f"assets/Image/{NFC}"]
