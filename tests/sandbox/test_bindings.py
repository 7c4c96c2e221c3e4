"""deriva's own bindings work with the sandbox, unchanged and over HTTP."""

import hashlib
import uuid

import pytest


@pytest.fixture
def credential(lab):
    """The writer's credential as deriva keeps it."""
    return {"bearer-token": lab.writer.token}


@pytest.fixture
def catalog(lab, credential):
    """A binding of the catalog."""
    from deriva.core import ErmrestCatalog

    return ErmrestCatalog("http", lab.ready["host"], "1", credentials=credential)


@pytest.fixture
def store(lab, credential):
    """A binding of the object store."""
    from deriva.core import HatracStore

    return HatracStore("http", lab.ready["host"], credentials=credential)


def test_the_model_has_assets_vocabularies_and_associations(catalog):
    model = catalog.getCatalogModel()

    image = model.schemas["demo"].tables["Image"]
    assert "tag:isrd.isi.edu,2017:asset" in image.columns["URL"].annotations
    assert model.schemas["demo"].tables["Image_Asset_Type"].is_association() == 2
    link = model.schemas["demo"].tables["Image_Execution"]
    assert link.is_association(max_arity=3, pure=False) == 2
    vocabulary = model.schemas["deriva-ml"].tables["Asset_Type"]
    assert {"ID", "URI", "Name", "Description", "Synonyms"} < set(vocabulary.columns.elements)


def test_a_datapath_inserts_filters_links_and_counts(catalog):
    from deriva.core.datapath import Cnt

    demo = catalog.getPathBuilder().schemas["demo"]
    subject, observation = demo.tables["Subject"], demo.tables["Observation"]
    name = uuid.uuid4().hex

    (row,) = subject.insert([{"Name": name}])
    assert list(subject.insert([{"Name": name}], on_conflict_skip=True)) == []
    assert [row] == list(subject.filter(subject.Name == name).entities())
    path = subject.path.link(observation)
    (joined,) = path.attributes(path.Subject.Name, path.Observation.Observation_Date)
    assert dict(joined) == {"Name": "subject-1", "Observation_Date": "2026-03-02"}
    (count,) = subject.aggregates(Cnt(subject.RID).alias("n"))
    assert len(list(subject.entities())) == count["n"]


def test_a_file_goes_whole_and_in_chunks_and_comes_back(store, tmp_path):
    source, target = tmp_path / "source.bin", tmp_path / "target.bin"
    source.write_bytes(hashlib.shake_128(b"seed").digest(250_000))
    path = f"/hatrac/Image/{uuid.uuid4().hex}"

    plain = store.put_loc(path, str(source))
    again = store.put_loc(path, str(source))
    chunked = store.put_loc(f"{path}-2", str(source), chunked=True, chunk_size=100_000)

    assert plain == again
    for location in (plain, chunked):
        store.get_obj(location, destfilename=str(target))
        assert source.read_bytes() == target.read_bytes()
    assert f"{path}-2" in store.retrieve_namespace("/hatrac/Image")


def test_rids_resolve_and_acls_can_be_read(catalog, store, lab):
    from deriva.core import HatracStore

    owner = HatracStore("http", lab.ready["host"], credentials={"bearer-token": lab.owner.token})

    assert catalog.resolve_rid("1-S001").table.name == "Subject"
    assert owner.get_acl("/hatrac/Image")["owner"] == ["sandbox-owner"]
    assert store.is_valid_namespace("/hatrac/Image")
    assert not store.is_valid_namespace("/hatrac/Nothing")
