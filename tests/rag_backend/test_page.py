"""The page in Chromium: behaviour, safety and accessibility."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from examples.rag_backend.app import create_app
from examples.rag_backend.screenshot import chromium, use_scheme, use_window
from rdr_qdrant import RDREmbeddings
from tests.rag_backend.conftest import HOSTILE, load, settings
from tests.rag_backend.serving import Served, serving
from tests.rag_backend.test_ask import ScriptedChatModel
from tests.support.qdrant_http_server import QdrantHTTPServer

QUESTION = "Which river passes through ten countries?"


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("Chromium is not installed: apt-get install chromium chromium-driver")
    with chromium() as browser:
        yield browser


@pytest.fixture(autouse=True)
def _no_browser_errors(browser: WebDriver) -> Iterator[None]:
    """No script failed and the content security policy blocked nothing."""
    browser.get("about:blank")
    use_window(browser, 1280, 900)
    use_scheme(browser, "light")
    browser.get_log("browser")
    yield
    said = [entry["message"] for entry in browser.get_log("browser")]
    assert not [line for line in said if "Failed to load resource" not in line]


def all_of(browser: WebDriver, selector: str) -> list[Any]:
    return list(browser.find_elements(By.CSS_SELECTOR, selector))


def one(browser: WebDriver, selector: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, selector)


def wait(browser: WebDriver, holds: Callable[[], Any]) -> Any:
    return WebDriverWait(browser, 30, poll_frequency=0.05).until(lambda _: holds())


def answered(browser: WebDriver) -> None:
    """Wait until the answer is complete."""
    wait(browser, lambda: "answered in" in one(browser, "#times").text)


def ask(browser: WebDriver, question: str) -> None:
    box = one(browser, "#q")
    box.clear()
    box.send_keys(question, Keys.ENTER)


def test_a_question_is_typed_and_its_answer_read(browser: WebDriver, backend: Served) -> None:
    browser.get(backend.url)
    assert browser.switch_to.active_element.get_attribute("id") == "q"
    ask(browser, QUESTION)
    answered(browser)
    assert "touches ten countries" in one(browser, "#answer-text blockquote").text
    assert one(browser, "#sources a").text == "1 · Danube"
    assert len(all_of(browser, ".passage")) == 5
    first = one(browser, "#passage-1")
    assert first.find_element(By.CSS_SELECTOR, "h3").text == "Danube"
    assert "touches ten countries" in first.find_element(By.CSS_SELECTOR, "mark.best").text
    assert first.find_element(By.CSS_SELECTOR, ".score").text.startswith("score 0.")
    assert "passages.tsv" in first.find_element(By.CSS_SELECTOR, "footer").text
    assert "q=Which+river" in browser.current_url
    assert browser.title.startswith(QUESTION)
    assert "5 passages" in one(browser, "#status").get_attribute("textContent")


def test_an_example_can_be_clicked(browser: WebDriver, backend: Served) -> None:
    browser.get(backend.url)
    wait(browser, lambda: len(all_of(browser, "#examples a")) == 3)
    one(browser, "#examples a").click()
    answered(browser)
    assert one(browser, "#q").get_attribute("value").startswith("Which river passes")


def test_the_url_is_the_question(browser: WebDriver, backend: Served) -> None:
    browser.get(f"{backend.url}/?q=How+long+is+the+Rhine%3F&title=Rhine")
    answered(browser)
    assert [found.text for found in all_of(browser, "h3")] == ["Rhine"]
    ask(browser, "Where does the Rhine end?")
    wait(browser, lambda: "Where+does" in browser.current_url)
    answered(browser)
    browser.back()
    wait(browser, lambda: one(browser, "#q").get_attribute("value") == "How long is the Rhine?")
    answered(browser)
    assert one(browser, "#title").get_attribute("value") == "Rhine"
    browser.forward()
    wait(browser, lambda: one(browser, "#q").get_attribute("value").startswith("Where does"))


def test_going_back_sends_no_request(browser: WebDriver, backend: Served) -> None:
    def asks() -> str:
        lines = backend.http.get("/metrics").text.splitlines()
        return next(x for x in lines if x.startswith('rag_requests_total{route="/ask",'))

    browser.get(backend.url)
    for question in (QUESTION, "Where is Khartoum?"):
        ask(browser, question)
        wait(browser, lambda question=question: browser.title.startswith(question))
        answered(browser)
    before = asks()
    browser.back()
    wait(browser, lambda: browser.title.startswith(QUESTION))
    answered(browser)
    assert one(browser, "#passage-1 h3").text == "Danube"
    assert asks() == before


def test_filtering_by_title(browser: WebDriver, backend: Served) -> None:
    browser.get(f"{backend.url}/?q=Where+does+the+river+end%3F")
    answered(browser)
    title = one(browser, "#passage-2 h3").text
    one(browser, "#passage-2 footer button").click()
    wait(browser, lambda: [found.text for found in all_of(browser, "h3")] == [title])
    answered(browser)
    assert "title=" in browser.current_url
    assert one(browser, "#title").get_attribute("value") == title
    one(browser, "#any-title").click()
    wait(browser, lambda: len(all_of(browser, ".passage")) == 5)
    assert "title=" not in browser.current_url
    one(browser, "#title").send_keys("Nobody", Keys.ENTER)
    wait(browser, lambda: "No passage has exactly the title" in one(browser, "#answer-text").text)


def test_text_of_passages_never_runs(browser: WebDriver, backend: Served) -> None:
    browser.get(f"{backend.url}/?q=Where+is+the+zorblax+crystal+kept%3F")
    answered(browser)
    first = one(browser, "#passage-1")
    assert first.find_element(By.CSS_SELECTOR, "h3").text == HOSTILE.title
    assert first.find_element(By.CSS_SELECTOR, ".text").text == HOSTILE.text
    assert HOSTILE.title in one(browser, "#sources").text
    marked = first.find_element(By.CSS_SELECTOR, "mark").text
    assert marked == "The zorblax crystal is kept in Lausanne."
    assert not all_of(browser, "#results script, #results img, #results b, #results footer a")
    assert browser.title.startswith("Where is the zorblax")


def test_an_error_is_shown_and_retried(browser: WebDriver, demo: RDREmbeddings) -> None:
    store = QdrantClient(":memory:")
    load(store, demo)
    with (
        QdrantHTTPServer(store) as qdrant,
        serving(create_app(settings(qdrant_url=qdrant.url))) as served,
    ):
        browser.get(served.url)
        with qdrant.away():
            ask(browser, QUESTION)
            wait(browser, lambda: one(browser, "#problem").is_displayed())
            assert "does not answer" in one(browser, "#problem p").text
            assert not one(browser, "#answer").is_displayed()
            check_accessible(browser)
        served.until_ready()
        one(browser, "#again").click()
        answered(browser)
        assert not one(browser, "#problem").is_displayed()


def test_the_page_asks_for_the_key(browser: WebDriver, own_folder: Path) -> None:
    app = create_app(settings(qdrant_path=own_folder, api_key="tomato"))
    with serving(app) as served:
        browser.get(f"{served.url}/?q=Where+is+Khartoum%3F")
        for key in ("potato", "tomato"):
            wait(browser, lambda: one(browser, "#key").is_displayed())
            one(browser, "#key").send_keys(key, Keys.ENTER)
        answered(browser)
        assert "tomato" not in browser.current_url


def test_an_answer_is_streamed_and_can_be_stopped(browser: WebDriver, own_folder: Path) -> None:
    model = ScriptedChatModel(pieces=["Khartoum ", "[1] ", *["and more "] * 500], pause=0.05)
    with serving(create_app(settings(qdrant_path=own_folder), chat_model=model)) as served:
        browser.get(f"{served.url}/?q=Where+do+the+two+Niles+meet%3F")
        text = wait(browser, lambda: one(browser, "#answer-text").text)
        wait(browser, lambda: len(one(browser, "#answer-text").text) > len(text))
        assert one(browser, "#answer-text").get_attribute("aria-busy") == "true"
        wait(browser, lambda: all_of(browser, "#answer-text a"))
        one(browser, "#answer-text a").click()
        assert browser.switch_to.active_element.get_attribute("id") == "passage-1"
        one(browser, "#stop").click()
        wait(browser, lambda: model.cancelled == [True])
        assert not one(browser, "#problem").is_displayed()
        assert one(browser, "#answer-text").text.startswith("Khartoum [1] and more")


def test_the_keyboard_is_enough(browser: WebDriver, backend: Served) -> None:
    browser.get(f"{backend.url}/?q=Where+is+Khartoum%3F")
    answered(browser)
    body = one(browser, "body")
    body.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to the results"
    body.send_keys("/")
    assert browser.switch_to.active_element.get_attribute("id") == "q"
    reached = set()
    for _ in range(20):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        there = browser.switch_to.active_element
        if there.tag_name == "body":
            break
        outline = there.value_of_css_property("outline-style")
        reached.add(there.get_attribute("id") or there.text)
        assert outline != "none", there.get_attribute("outerHTML")
    assert {"title", "1 · Nile", "Only this title"} <= reached


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_window(browser: WebDriver, backend: Served, width: int) -> None:
    use_window(browser, width, 844)
    for query in ("", "?q=Where+is+the+zorblax+crystal+kept%3F"):
        browser.get(f"{backend.url}/{query}")
        if query:
            answered(browser)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_accessible(browser: WebDriver, backend: Served, scheme: str, width: int) -> None:
    use_window(browser, width, 900)
    use_scheme(browser, scheme)
    browser.get(backend.url)
    wait(browser, lambda: all_of(browser, "#examples a"))
    check_accessible(browser)
    ask(browser, QUESTION)
    answered(browser)
    check_accessible(browser)


def test_the_api_documentation_shows_itself(browser: WebDriver, backend: Served) -> None:
    browser.get(f"{backend.url}/docs")
    wait(browser, lambda: "/ask" in one(browser, "#docs").text)


def check_accessible(browser: WebDriver) -> None:
    """axe-core finds no violations."""
    package = importlib.util.find_spec("axe_core_python")
    if package is None or package.origin is None:
        pytest.skip("axe-core is not installed: pip install axe-core-python")
    browser.execute_script((Path(package.origin).parent / "axe.min.js").read_text("utf-8"))
    found = browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document).then(r => done(r.violations), e => done([{id: String(e), nodes: []}]));"
    )
    violations = [
        f"{rule['id']} ({rule.get('impact')}): "
        + "; ".join(node["html"][:120] + " " + node["failureSummary"] for node in rule["nodes"])
        for rule in found
    ]
    assert not violations, "\n".join(violations)
