"""The page of a run in a real browser: it loads nothing else, its selectors change the pictures, it is dark, and it prints whole.

Without Chromium these tests are skipped, unless GPUMC_NEEDS_CHROMIUM is set, as in the checks of .ci/run.
"""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import gpumc
from gpumc.results.report import report
from gpumc.results.statistics import mean_and_error
from tests.units.results.test_report import ROOT, SMALL, done

#: What browsers are called.
NAMES = ("chromium", "chromium-browser", "google-chrome")
TWO_AXES = (
    "measure.beta=[1.0,5.0]",
    "loss.gamma=[0.5,2.0]",
    "volumes={distance=[0.1,0.2],replicas=true}",
    "patterns.instances=2",
)


@pytest.fixture(scope="module")
def browser():
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    needed = os.environ.get("GPUMC_NEEDS_CHROMIUM")
    if found is None and not needed:
        pytest.skip("no Chromium: install it (Debian: apt-get install chromium)")
    assert found, f"GPUMC_NEEDS_CHROMIUM is set, and none of {', '.join(NAMES)} was found"
    if needed:
        import playwright.sync_api as playwright
    else:
        playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'gpumc[test]'")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """The quickstart, and a sweep of two axes with local entropies, each with its page."""
    folder = tmp_path_factory.mktemp("runs")
    made = {
        name: done(ROOT / "runs" / "quickstart.toml", folder / name, *SMALL, *more)
        for name, more in (("one", ()), ("two", TWO_AXES))
    }
    for out in made.values():
        report(gpumc.open_run(out), out / "report.html", str(out))
    return made


@pytest.fixture
def opened(browser, runs):
    """Opens the page of a run; what it requests and complains of is looked at when the test has ended."""
    heard, pages = [], []

    def open_page(name: str, **settings):
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}} | settings)
        address = (runs[name] / "report.html").as_uri()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: heard.append(request.url) if request.url != address else None)
        page.goto(address)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert heard == []


def tabbed(page, most: int = 200) -> list:
    """What the keyboard reaches, in order: the picture and the axis of selects, and what they are called."""
    reached = []
    for _ in range(most):
        page.keyboard.press("Tab")
        here = page.evaluate(
            """() => { const node = document.activeElement;
            if (node === document.body) return null;
            return [node.closest('figure')?.dataset.picture ?? '', node.dataset.axis ?? node.type ?? node.tagName,
              node.labels?.[0]?.textContent ?? node.getAttribute('aria-label') ?? node.textContent] }"""
        )
        if here is None or here in reached:
            return reached
        reached.append(here)
    return reached


def called(page, role: str) -> list[str]:
    """The names that Chromium gives to screen readers, of all that have a role."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    return [node["name"]["value"] for node in nodes if not node["ignored"] and node["role"]["value"] == role]


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_screen_reader_is_told_of_every_picture_and_selector(opened, name):
    page = opened(name)
    pictures = json.loads(page.text_content("#numbers"))
    images, selectors = called(page, "image"), called(page, "combobox")
    assert len(images) == len(pictures)
    for image in images:
        assert re.search(r", against .*standard error over instances.* Values from \S+ to \S+\.$", image)
    assert len(selectors) == sum(len(picture["axes"]) for picture in pictures)
    assert {"one": {"gamma γ"}, "two": {"gamma γ", "beta β", "around"}}[name] <= set(selectors)
    for role in ("combobox", "slider", "table", "region", "link", "heading"):
        assert "" not in called(page, role)


def lines_of(page, picture: str) -> list[str]:
    """The paths of the markers and lines of a picture."""
    return page.eval_on_selector_all(
        f"figure[data-picture='{picture}'] svg g path",
        "all => all.map(p => p.getAttribute('d') + p.getAttribute('transform'))",
    )


@pytest.mark.parametrize("name", ["one", "two"])
def test_the_keyboard_reaches_every_selector_and_each_changes_its_picture(opened, name):
    page = opened(name)
    reached = tabbed(page)
    swept = {"one": {"gamma"}, "two": {"gamma", "beta"}}[name]
    pictures = json.loads(page.inner_text("#numbers") or page.text_content("#numbers"))
    assert len(pictures) >= 6
    for number, picture in enumerate(pictures):
        axes = {axis["name"] for axis in picture["axes"]}
        assert swept <= axes
        assert {axis for place, axis, _ in reached if place == str(number) and axis != "range"} == axes
        assert [str(number), "range", "point"] in reached
    for place, axis, label in reached:
        if place and axis != "range":
            assert axis.split("_")[0] in label  # a label, which a screen reader says
            change(page, place, axis)


def change(page, place: str, axis: str) -> None:
    """Choose, by the keyboard alone, the last value of a select: the picture, its caption and its description change."""
    select = page.locator(f"figure[data-picture='{place}'] select[data-axis='{axis}']")
    svg = page.locator(f"figure[data-picture='{place}'] svg")
    before, told = lines_of(page, place), svg.get_attribute("aria-label")
    select.focus()
    page.keyboard.press("End")
    value = select.evaluate("node => node.selectedOptions[0].textContent")
    assert lines_of(page, place) != before
    assert svg.get_attribute("aria-label") != told
    said = page.locator(f"figure[data-picture='{place}'] [aria-live]").inner_text()
    assert value in said
    page.keyboard.press("Home")


def test_a_value_under_the_pointer_is_that_of_the_dataset(opened, runs):
    page, data = opened("one"), gpumc.open_run(runs["one"])
    mean, error = mean_and_error(data.error_rate)
    markers = page.locator("figure[data-picture='0'] svg path.marker")
    assert markers.count() == 3
    for place in range(3):
        markers.nth(place).hover()
        said = page.locator("figure[data-picture='0'] .hover").inner_text()
        gamma, value, spread = re.fullmatch(r"γ = (\S+): fraction of patterns in error = (\S+) ± (\S+)", said).groups()
        assert float(gamma) == data.gamma[place]
        assert float(value) == pytest.approx(float(mean[place]), abs=0.06 * float(error[place]))
        assert float(spread) == pytest.approx(float(error[place]), rel=0.06)
    page.mouse.move(2, 2)
    assert page.locator("figure[data-picture='0'] .hover").is_hidden()


def test_the_keyboard_tells_the_same_values(opened, runs):
    page, data = opened("two"), gpumc.open_run(runs["two"])
    slider = page.locator("figure[data-picture='0'] input")
    slider.focus()
    page.keyboard.press("End")
    said = slider.get_attribute("aria-valuetext")
    assert said == page.locator("figure[data-picture='0'] .hover").inner_text()
    value = float(re.fullmatch(r"β = 5, γ = 2: .* = (\S+) ± \S+", said)[1])
    mean, error = mean_and_error(data.error_rate)
    assert value == pytest.approx(float(mean.sel(gamma=2, beta=5)), abs=0.06 * float(error.sel(gamma=2, beta=5)))


def test_any_choice_of_roles_is_drawn(opened):
    """Every value of every select of a picture of three axes, one after the other: what is chosen is drawn, against one axis."""
    page = opened("two")
    (place,) = [
        str(n) for n, p in enumerate(json.loads(page.text_content("#numbers"))) if p["name"] == "overlap_replicas"
    ]
    figure = page.locator(f"figure[data-picture='{place}']")
    for axis in ("quantity", "beta", "gamma", "quantity", "beta"):
        select = figure.locator(f"select[data-axis='{axis}']")
        for index, value in enumerate(select.evaluate("node => [...node.options].map(o => o.value)")):
            select.select_option(index=index)  # by value=, labels count, too
            roles = figure.locator("select").evaluate_all("all => all.map(node => node.value)")
            assert select.input_value() == value
            assert roles.count("along") <= 1
            assert roles.count("each") <= 1
            assert figure.locator("svg path.marker").count() > 0
            assert f"against {'sweep' if 'along' not in roles else ''}" in figure.locator("svg").get_attribute(
                "aria-label"
            )


def test_the_legend_covers_no_data(opened):
    page = opened("two")
    boxes = page.evaluate(
        """() => [...document.querySelectorAll('figure svg')].map(svg => {
        const frame = svg.querySelector('.frame').getBoundingClientRect();
        const words = [...svg.querySelectorAll('g > text')].map(text => text.getBoundingClientRect());
        return [frame.top, Math.max(...words.map(box => box.bottom)), frame.right + 20, Math.max(...words.map(box => box.right))] })"""
    )
    assert boxes
    assert all(bottom <= top + 1 and right <= edge for top, bottom, edge, right in boxes)


def luminance(colour: str) -> float:
    """Relative luminance of rgb(...), as the guidelines on contrast (WCAG 2.1) have it."""
    parts = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    return float(np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def test_light_dark_and_print(opened):
    """Dark where the system is; text and lines are told from the ground by a contrast of 4.5 and 2 in each; print is light."""
    page = opened("two")
    grounds = {}
    for scheme, medium in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
        page.emulate_media(color_scheme=scheme, media=medium)
        ground, ink, lines = page.evaluate(
            """() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.view')).color,
            [...document.querySelectorAll('svg .marker')].map(node => getComputedStyle(node).fill)]"""
        )
        grounds[scheme, medium] = luminance(ground)
        for colour, least in [(ink, 4.5), *((line, 2.0) for line in lines)]:
            low, high = sorted([luminance(colour), luminance(ground)])
            assert (high + 0.05) / (low + 0.05) > least, (scheme, medium, colour)
    assert grounds["light", "screen"] == grounds["dark", "print"] == 1.0
    assert grounds["dark", "screen"] < 0.02


def test_it_prints_whole(opened):
    """No table is cut at its sides or scrolls, no selector is printed, and what is shown is said in words."""
    page = opened("two", viewport={"width": 700, "height": 900})
    page.emulate_media(media="print")
    assert page.locator("select:visible, input:visible, nav:visible").count() == 0
    cut = page.evaluate(
        """() => [...document.querySelectorAll('table, figure, pre, .scroll')].filter(node => {
        const box = node.getBoundingClientRect();
        return !box.height || box.right > document.documentElement.clientWidth + 1 || node.scrollHeight > node.clientHeight + 2
          && getComputedStyle(node).overflowY !== 'visible' }).map(node => node.outerHTML.slice(0, 80) + box.right)"""
    )
    assert cut == []
    assert "a line for each inverse temperature" in page.locator("figure .view").first.inner_text()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_a_narrow_screen_scrolls_down_only(opened):
    page = opened("two", viewport={"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_without_scripts_tables_are_there(opened):
    page = opened("one", java_script_enabled=False)
    assert page.locator("table:visible").count() >= 4
    assert page.locator("td").filter(has_text=re.compile(r"^0\.\d+\(\d+\)$")).count() > 3
    assert "drawn by a script" in page.inner_text("#pictures")


def test_another_script_and_style_are_refused(browser, runs, tmp_path):
    """The policy holds: what somebody adds to the page does not run, and loads nothing."""
    text = (runs["one"] / "report.html").read_text(encoding="utf-8")
    added = (
        "<script>document.title = 'taken'</script><img src='http://127.0.0.1:9/x'><style>body { color: red }</style>"
    )
    (tmp_path / "page.html").write_text(text.replace("<main>", added + "<main>"), encoding="utf-8")
    page, refused = browser.new_page(), []
    page.on("console", lambda message: refused.append(message.text))
    page.goto((tmp_path / "page.html").as_uri())
    assert page.title() == "quickstart: gpumc"
    assert page.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    assert len([text for text in refused if "Content Security Policy" in text]) == 3
    page.close()
