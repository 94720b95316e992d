import pytest

from llmapp.config import Settings, load_settings
from llmapp.errors import ConfigError, UnknownSettingError


def write(folder, text):
    (folder / "llmapp.toml").write_text(text, encoding="utf-8")
    return folder


def test_without_a_file_everything_has_its_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.model == "extractive"
    assert settings.state == tmp_path.resolve() / ".llmapp"


def test_the_nearest_file_above_is_taken(tmp_path, monkeypatch):
    write(tmp_path, 'model = "ollama:x"')
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    assert load_settings().model == "ollama:x"
    assert load_settings().root == tmp_path.resolve()


def test_a_file_is_read_with_all_its_tables(tmp_path):
    text = """
    [[sources]]
    name = "handbook"
    acl = ["group:staff"]
    [sources.settings]
    path = "documents"
    [budgets]
    day_usd = 0.05
    [prices."my/model"]
    input_usd_per_million = 0.1
    """
    settings = load_settings(write(tmp_path, text))
    assert settings.sources[0].settings == {"path": "documents"}
    assert settings.sources[0].acl == ("group:staff",)
    assert str(settings.budgets.day_usd) == "0.05"
    assert settings.prices["my/model"].output_usd_per_million is None


@pytest.mark.parametrize("url", ["postgresql://me:s3cret@host/db", "postgresql://host/db?user=me&password=s3cret"])
def test_an_address_with_a_password_comes_from_the_environment_alone(tmp_path, monkeypatch, url):
    with pytest.raises(ConfigError, match="is not a key of the file") as caught:
        load_settings(write(tmp_path, f'[index]\npgvector_url = "{url}"'))
    assert "s3cret" not in str(caught.value)
    monkeypatch.setenv("LLMAPP_INDEX__PGVECTOR_URL", url)
    settings = load_settings(write(tmp_path, '[index]\npgvector_url = "postgresql://me@host:5432/db"'))
    assert settings.index.pgvector_url.get_secret_value() == url
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ('modle = "x"', "model"),
        ("[prompt]\nbuget_tokens = 3", "prompt.budget_tokens"),
        ("[retrieval]\ntopk = 3", "retrieval.top_k"),
        ("[[sources]]\nname = 'a'\nconector = 'files'", "sources.connector"),
    ],
)
def test_an_unknown_key_names_the_nearest_one(tmp_path, text, nearest):
    with pytest.raises(UnknownSettingError) as caught:
        load_settings(write(tmp_path, text))
    assert nearest in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "not toml at all =",
        "model = 3",
        "[prompt]\nbudget_tokens = -1",
        "[budgets]\nday_usd = 'much'",
        "root = '/'",
        "api_key = 'secret-value'",
        "[[sources]]\nname = 'a'\n[[sources]]\nname = 'a'",
        "[[sources]]\nname = 'a:b'",
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, text))
    assert "\n" not in caught.value.message
    assert "secret-value" not in caught.value.message
    assert caught.value.hint


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="is not there"):
        load_settings(tmp_path / "other.toml")


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    write(tmp_path, 'model = "extractive"\n[prompt]\nbudget_tokens = 100')
    monkeypatch.setenv("LLMAPP_MODEL", "openai:x")
    monkeypatch.setenv("LLMAPP_PROMPT__BUDGET_TOKENS", "200")
    monkeypatch.setenv("LLMAPP_API_KEY", "secret-value")
    settings = load_settings(tmp_path)
    assert (settings.model, settings.prompt.budget_tokens) == ("openai:x", 200)
    assert "secret-value" not in repr(settings)


def test_settings_do_not_change(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        Settings(root=tmp_path).model = "other"


def test_a_mistyped_variable_names_the_nearest_one(tmp_path, monkeypatch):
    write(tmp_path, "")
    monkeypatch.setenv("LLMAPP_MODLE", "x")
    with pytest.raises(UnknownSettingError) as caught:
        load_settings(tmp_path)
    assert "LLMAPP_MODEL" in caught.value.hint


@pytest.mark.parametrize("variable", ["LLMAPP_PROMPT", "LLMAPP_SOURCES"])
def test_a_variable_that_is_no_json_is_a_clear_error_without_its_value(tmp_path, monkeypatch, variable):
    write(tmp_path, "")
    monkeypatch.setenv(variable, "secret-value[")
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert "secret-value" not in caught.value.message


@pytest.mark.parametrize(
    ("variable", "told", "hint"),
    [
        ("LLMAPP_RETRIEVAL__TOP_K", "LLMAPP_RETRIEVAL__TOP_K: Input should be a valid integer", "settings table"),
        ("LLMAPP_RETRIEVAL__TOPK", "no setting for the variable LLMAPP_RETRIEVAL__TOPK", "LLMAPP_RETRIEVAL__TOP_K?"),
    ],
)
def test_what_a_variable_gets_wrong_is_not_blamed_on_the_file(tmp_path, monkeypatch, variable, told, hint):
    write(tmp_path, "[retrieval]\ntop_k = 5\n")
    monkeypatch.setenv(variable, "many")
    with pytest.raises(ConfigError, match=told) as raised:
        load_settings(tmp_path)
    assert "llmapp.toml" not in raised.value.message
    assert hint in raised.value.hint


def test_the_root_is_no_setting(tmp_path, monkeypatch):
    write(tmp_path, "")
    monkeypatch.setenv("LLMAPP_ROOT", "/elsewhere")
    with pytest.raises(UnknownSettingError):
        load_settings(tmp_path)


@pytest.mark.parametrize("url", ["postgresql://me:secret-word@host/db", "postgresql://host/db?password=secret-word"])
def test_the_address_of_a_catalog_with_a_password_comes_from_the_environment_alone(tmp_path, monkeypatch, url):
    with pytest.raises(ConfigError, match="catalog_url with a password") as caught:
        load_settings(write(tmp_path, f'catalog_url = "{url}"'))
    assert "secret-word" not in str(caught.value)
    monkeypatch.setenv("LLMAPP_CATALOG_URL", url)
    settings = load_settings(write(tmp_path, 'catalog_url = "postgresql://me@host/db"'))
    assert settings.catalog_url.get_secret_value() == url
    assert "secret-word" not in repr(settings)


@pytest.mark.parametrize("url", ["mysql://host/db", "host/db", "postgresql://me:se@cret@host/db"])
def test_an_address_of_a_catalog_that_is_none_is_refused_without_showing_it(tmp_path, monkeypatch, url):
    monkeypatch.setenv("LLMAPP_CATALOG_URL", url)
    with pytest.raises(ConfigError, match=r"LLMAPP_CATALOG_URL: .*postgresql://USER@HOST/DATABASE") as caught:
        load_settings(write(tmp_path, ""))
    assert "se@cret" not in str(caught.value)


def test_a_batch_price_of_output_alone_is_refused(tmp_path):
    (tmp_path / "llmapp.toml").write_text(
        '[prices."openai:x"]\ninput_usd_per_million = 1\nbatch_output_usd_per_million = 1\n', encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="needs batch_input_usd_per_million"):
        load_settings(tmp_path)
