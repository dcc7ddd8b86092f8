import pathlib

from infra.local.provider import file


def test_a_file_is_written_with_its_folders_read_back_and_removed(tmp_path):
    files, path = file.FileHandler(), tmp_path / "a" / "b.txt"
    wanted = file.FileInputs(path=str(path), content="one")
    files.create(wanted, 1)
    assert path.read_text() == "one"
    assert files.read(wanted) == {"content": "one", "executable": False}
    files.delete(wanted, 1)
    assert files.read(wanted) is None
    files.delete(wanted, 1)  # what is gone already is no error


def test_a_changed_file_is_seen_as_it_is(tmp_path):
    files, path = file.FileHandler(), tmp_path / "b.txt"
    wanted = file.FileInputs(path=str(path), content="one")
    files.create(wanted, 1)
    path.write_text("two")
    assert files.read(wanted)["content"] == "two"


def test_no_temporary_file_stays_behind(tmp_path):
    file.FileHandler().create(file.FileInputs(path=str(tmp_path / "b"), content="x"), 1)
    assert [p.name for p in pathlib.Path(tmp_path).iterdir()] == ["b"]
