"""Checkpoints: the layouts of the official files are read, and hostile or damaged ones do no harm."""

import collections
import json
import os
import pickle
import struct
import sys
import types
import zipfile

import pytest

from vtlab.errors import WeightsError
from vtlab.weights.checkpoints import load_into, load_tensors

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")


@pytest.fixture
def foreign():
    """A module like an official repository's, importable while a file is written and gone when it is read."""
    module = types.ModuleType("official_repo_settings")
    exec(
        "import collections\n"
        "class Settings:\n"
        "    def __init__(self): self.lr, self.meter = 1e-4, Meter()\n"
        "class Meter(collections.OrderedDict):\n"
        "    pass\n"
        "class Log(list):\n"
        "    pass\n"
        "def constructor(depth):\n"
        "    raise RuntimeError('the constructor of the file ran')\n",
        module.__dict__,
    )
    for name in ("Settings", "Meter", "Log", "constructor"):
        getattr(module, name).__module__ = module.__name__
    sys.modules[module.__name__] = module
    yield module
    sys.modules.pop(module.__name__, None)


class Reduced:
    """Pickles as a call of `function` with `args`."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2, bias=False)
    )


def official(module, state):
    """The layout of pytracking's trainer, which TransT, MixFormer and MCITrack share."""
    settings = module.Settings()
    log = module.Log([1, 2])
    log.note = "state of a list"
    return {
        "epoch": 300,
        "actor_type": "Actor",
        "net_type": "Net",
        "net": state,
        "net_info": {"version": 1, "log": log},
        "constructor": module.constructor,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(5)}}},
        "stats": collections.OrderedDict(train={"loss": settings}, when=module.Meter(a=1)),
        "settings": settings,
        "kinds": {1, 2, frozenset({3})},
    }


def assert_same(tensors, state):
    assert list(tensors) == list(state)
    for name, value in state.items():
        assert tensors[name].dtype == value.dtype
        torch.testing.assert_close(tensors[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
def test_official_layout_with_foreign_objects(tmp_path, foreign, zipped):
    state = network().state_dict()
    path = tmp_path / "MCITRACK_ep0300.pth.tar"
    torch.save(official(foreign, state), path, _use_new_zipfile_serialization=zipped)
    del sys.modules[foreign.__name__]
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert_same(load_tensors(path), state)
    assert_same(load_tensors(path, key="net"), state)
    assert foreign.__name__ not in sys.modules


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
@pytest.mark.parametrize("alien", [True, False], ids=["restricted", "plain"])
def test_dtypes_views_parameters_and_tied_weights(tmp_path, foreign, zipped, alien):
    base = torch.arange(24.0).reshape(4, 6)
    state = {
        "view": base[1:, ::2],
        "transposed": base.t(),
        "tied": base,
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(7),
        "half": torch.ones(2, dtype=torch.float16),
        "bfloat": torch.ones(2, dtype=torch.bfloat16),
        "double": torch.ones(2, dtype=torch.float64),
        "complex": torch.ones(2, dtype=torch.complex64),
        "flags": torch.tensor([True, False]),
        "bytes": torch.arange(3, dtype=torch.uint8),
    }
    content = {"state_dict": state, "settings": foreign.Settings()} if alien else {"state_dict": state}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    tensors = load_tensors(tmp_path / "x.pth")
    assert_same(tensors, {name: value.detach() for name, value in state.items()})
    assert tensors["tied"].untyped_storage().data_ptr() == tensors["view"].untyped_storage().data_ptr()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"model": s, "epoch": 3},
        lambda s: {"model": {"state_dict": s}},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {"network": s, "best": torch.tensor(1.0)},
    ],
    ids=["bare", "model", "nested", "data-parallel", "beside-a-tensor"],
)
def test_finds_the_wrapping_key(tmp_path, wrap):
    state = network().state_dict()
    torch.save(wrap(dict(state)), tmp_path / "x.pt")
    assert_same(load_tensors(tmp_path / "x.pt"), state)


def test_an_explicit_key_wins_and_a_wrong_one_is_named(tmp_path):
    torch.save({"net": {"a": torch.ones(1)}, "ema": {"a": torch.zeros(1)}}, tmp_path / "x.pt")
    assert load_tensors(tmp_path / "x.pt", key="ema")["a"] == 0
    with pytest.raises(WeightsError, match=r"no tensors under 'exp'; it has: 'net', 'ema'"):
        load_tensors(tmp_path / "x.pt", key="exp")


def test_safetensors(tmp_path):
    values = {
        "a": torch.arange(6, dtype=torch.float16).reshape(2, 3),
        "b": torch.tensor(5),
        "c": torch.empty(0),
    }
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for (name, value), kind in zip(values.items(), ("F16", "I64", "F32"), strict=True):
        raw = value.numpy().tobytes()
        header[name] = {
            "dtype": kind,
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    assert_same(load_tensors(path), values)
    path.write_bytes(struct.pack("<Q", 2**62) + text + data)
    with pytest.raises(WeightsError, match="claims"):
        load_tensors(path)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[:-4])
    with pytest.raises(WeightsError, match="claims"):
        load_tensors(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
@pytest.mark.parametrize("attack", ["system", "eval", "exec", "attribute", "environment", "hidden"])
def test_nothing_of_a_hostile_file_runs(tmp_path, zipped, attack):
    flag = tmp_path / "pwned"
    evil = {
        "system": Reduced(os.system, f"touch {flag}"),
        "eval": Reduced(eval, f"open({str(flag)!r}, 'w')"),
        "exec": Reduced(exec, f"open({str(flag)!r}, 'w')"),
        "attribute": Reduced(setattr, torch.nn.Linear, "forward", None),
        "environment": Reduced(os.putenv, "VTLAB_PWNED", "1"),
        "hidden": Reduced(map, os.system, [f"touch {flag}"]),
    }[attack]
    forward = torch.nn.Linear.forward
    for content in ({"net": {"a": torch.ones(2)}, "settings": evil}, {"a": torch.ones(2), "b": evil}):
        path = tmp_path / "evil.pth"
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        assert_same(load_tensors(path), {"a": torch.ones(2)})
    assert not flag.exists()
    assert torch.nn.Linear.forward is forward


def test_the_state_of_a_pickle_sets_no_attribute(tmp_path):
    """BUILD on a class or a function would write on the real one: here it writes nowhere."""
    body = (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x05\x00\x00\x00stateK\x01s\x86b0"
        b"ccollections\nOrderedDict\n}X\x05\x00\x00\x00stateK\x01sb0}."
    )
    write_zip(tmp_path / "x.pt", body)
    with pytest.raises(WeightsError, match="no tensors"):
        load_tensors(tmp_path / "x.pt")
    assert not hasattr(torch._utils._rebuild_tensor_v2, "state")


def write_zip(path, pickled, storages=None, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x/data.pkl", pickled)
        for name, data in (storages or {}).items():
            archive.writestr(f"x/data/{name}", data)
        archive.writestr("x/version", "3\n")


def repack(source, target, edit):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            new.writestr(entry.filename, edit(data) if entry.filename.endswith("data.pkl") else data)


@pytest.mark.parametrize("alien", [True, False], ids=["restricted", "plain"])
@pytest.mark.parametrize("claim", ["storage", "shape", "stride"])
def test_claims_of_more_than_the_file_holds(tmp_path, foreign, alien, claim):
    content = {"net": {"a": torch.arange(77.0)}, **({"settings": foreign.Settings()} if alien else {})}
    torch.save(content, tmp_path / "x.pt")
    big = b"J\x00\x00\x00\x40"

    def edit(data):
        assert b"K\x4dt" in data
        assert b"K\x4d\x85" in data
        if claim in ("storage", "shape"):
            data = data.replace(b"K\x4d\x85", big + b"\x85")
        if claim == "storage":
            data = data.replace(b"K\x4dt", big + b"t")
        if claim == "stride":
            data = data.replace(b"K\x01\x85", b"K\x00\x85").replace(b"K\x4d\x85", big + b"\x85")
        return data

    repack(tmp_path / "x.pt", tmp_path / "y.pt", edit)
    with pytest.raises(WeightsError, match=r"damaged|claims|larger"):
        load_tensors(tmp_path / "y.pt")


def test_compressed_archives_are_refused_before_anything_is_unpacked(tmp_path):
    write_zip(tmp_path / "bomb.pt", b"\x80\x02}.", {"0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert (tmp_path / "bomb.pt").stat().st_size < 100_000
    with pytest.raises(WeightsError, match="compressed"):
        load_tensors(tmp_path / "bomb.pt")


@pytest.mark.parametrize(
    "body",
    [
        b"\x80\x02\x8d" + struct.pack("<Q", 2**62) + b".",  # BINUNICODE8 of 4 EiB
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b".",  # FRAME of 4 EiB
        b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b"0.",  # memo slot 4 G
        b"\x80\x02\x82\x01.",  # EXT1: an object of this process, by number
        b"\x80\x02K\x01)R.",  # calls an integer
        b"",
        b"\x80\x02}",
    ],
    ids=["string", "frame", "memo", "extension", "call", "empty", "endless"],
)
def test_hostile_pickles_end_in_one_error(tmp_path, body):
    write_zip(tmp_path / "x.pt", body)
    with pytest.raises(WeightsError, match=r"x\.pt"):
        load_tensors(tmp_path / "x.pt")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
def test_truncated_at_every_kind_of_place(tmp_path, foreign, zipped):
    path = tmp_path / "x.pth"
    torch.save(official(foreign, network().state_dict()), path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    for end in (0, 1, 7, 15, 40, 200, len(data) // 2, len(data) - 30):
        path.write_bytes(data[:end])
        with pytest.raises(WeightsError, match=r"x\.pth"):
            load_tensors(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n", "no PyTorch or safetensors checkpoint"),
        (b"x" * 257 + b"ustar" + b"x" * 99, "tar archive"),
        (pickle.dumps([1, 2]), "did not write"),
    ],
)
def test_other_files_are_named_as_what_they_are(tmp_path, content, message):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load_tensors(tmp_path / "x.pth")


def test_missing_files_whole_modules_and_programs(tmp_path):
    with pytest.raises(WeightsError, match="No such file"):
        load_tensors(tmp_path / "absent.pth")
    torch.save(network(), tmp_path / "module.pth")
    with pytest.raises(WeightsError, match="whole pickled object"):
        load_tensors(tmp_path / "module.pth")
    torch.save({"a": 1}, tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="holds no tensors; its top level has: 'a'"):
        load_tensors(tmp_path / "none.pth")
    write_zip(tmp_path / "script.pt", b"\x80\x02}.")
    with zipfile.ZipFile(tmp_path / "script.pt", "a") as archive:
        archive.writestr("x/constants.pkl", b"")
    with pytest.raises(WeightsError, match="TorchScript"):
        load_tensors(tmp_path / "script.pt")


def test_load_into_is_strict_and_names_the_other_variant(tmp_path):
    net = network()
    torch.save({"net": net.state_dict()}, tmp_path / "good.pth")
    empty = network()
    torch.nn.init.zeros_(empty[0].weight)
    load_into(empty, tmp_path / "good.pth", what="small")
    assert_same(empty.state_dict(), net.state_dict())

    other = {**net.state_dict(), "2.weight": torch.ones(3, 4), "9.weight": torch.ones(1)}
    del other["0.bias"]
    torch.save({"net": other}, tmp_path / "large.pth")
    with pytest.raises(WeightsError) as error:
        load_into(
            empty,
            tmp_path / "large.pth",
            what="small",
            variant_of=lambda t: "large" if "9.weight" in t else None,
        )
    text = str(error.value)
    assert "1 missing (first: 0.bias); 1 unexpected (first: 9.weight)" in text
    assert "2.weight has shape (3, 4), expected (2, 4)" in text
    assert "It is a checkpoint of large" in text
    assert_same(empty.state_dict(), net.state_dict())
