"""The report: one HTML file that needs nothing else."""

import base64
import html.parser
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw

from evaluation.synthetic import CANDIDATES, write_results
from phire.errors import InputError
from phire.evaluation.catalogue import definition
from phire.evaluation.definitions import Definition
from phire.evaluation.figures import draw_all
from phire.evaluation.report import write_report
from phire.evaluation.report.embedded_images import COLOURS, embedded_images, encoded_image
from phire.evaluation.report.score_tables import best_of

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (
        found := shutil.which(name))),
    None,
)  # fmt: skip

NASTY = '<b>bold & "quoted"'


class Page(html.parser.HTMLParser):
    """What a test asks of a page."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.open, self.rows, self.text = [], [], [], ""
        self.feed(path.read_text("utf-8"))
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img", "br"):  # these have no end
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append([dict(attributes).get("class", ""), ""])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1][1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "results"
    write_results(folder, rows=16, times=5)
    for metric in ("samples", "maps", "high_pass", "ensemble"):  # to take less time
        for path in folder.glob(f"*/{metric}.nc"):
            path.unlink()
    made = json.loads((folder / "provenance.json").read_text("utf-8"))
    made["options"]["note"] = NASTY
    (folder / "provenance.json").write_text(json.dumps(made), encoding="utf-8")
    table = "candidate,better,cities,worse\nbicubic,4,100,49\nlearned + adversarial,90,40,23\n"
    (folder / "city_counts.csv").write_text(table, encoding="utf-8")
    draw_all(folder, formats=["png"], dpi=40)
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(results):
    return Page(results / "report.html")


def test_everything_lies_within_the_file(page):
    places = [a[key] for _, a in page.elements for key in ("src", "href") if key in a]
    assert len(places) > 20
    assert all(place.startswith(("data:", "#")) for place in places)
    text = (page.all("style"), page.text)
    assert "url(" not in str(text) and "@import" not in str(text)
    assert page.all("script") == [{}]  # of the page itself


def test_every_figure_is_there_with_words_for_those_who_do_not_see_it(results, page):
    entries = json.loads((results / "figures" / "figures.json").read_text("utf-8"))
    images = page.all("img")
    assert len(images) == len(entries)
    figures = [figure["id"] for figure in page.all("figure")]
    by_name = {entry["name"]: entry for entry in entries}
    for entry, image in zip(map(by_name.get, figures), images):
        kind, content = image["src"].removeprefix("data:image/").split(";base64,")
        original = results / "figures" / f"{entry['name']}.png"
        content = base64.b64decode(content)
        assert len(content) <= original.stat().st_size
        with Image.open(io.BytesIO(content)) as decoded, Image.open(original) as drawn:
            assert decoded.format.lower() == kind
            assert decoded.size == drawn.size == (int(image["width"]), int(image["height"]))
        assert entry["title"] in image["alt"] and entry["caption"] in image["alt"]
        assert entry["caption"] in page.text


@pytest.fixture
def photograph(tmp_path):
    """A PNG file of many colours and its pixels (300, 400, 3)."""
    rows, columns = np.mgrid[:300, :400]
    noise = np.random.default_rng(0).normal(size=(300, 400, 3))
    image = np.stack([rows / 2, columns / 2, 100 + 20 * np.sin(rows / 9)], -1) + 4 * noise
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photograph.png")
    return tmp_path / "photograph.png", pixels


def test_heavy_figures_become_light_and_look_the_same(photograph):
    path, pixels = photograph
    kind, content, size = encoded_image(path, 75)
    assert kind == "webp" and len(content) < path.stat().st_size / 5 and size == (400, 300)
    with Image.open(io.BytesIO(content)) as decoded:
        error = np.asarray(decoded.convert("RGB"), float) - pixels
    assert np.sqrt((error**2).mean()) < 8


def test_line_drawings_keep_every_pixel(tmp_path):
    image = Image.new("RGB", (400, 300), "white")
    drawing = ImageDraw.Draw(image)
    for i in range(8):
        drawing.line([(0, 30 * i), (400, 300 - 20 * i)], (0, 25 * i, 200 - 25 * i), width=3)
    assert len(image.getcolors()) < COLOURS
    image.save(tmp_path / "lines.png")
    _, content, _ = encoded_image(tmp_path / "lines.png", 75)
    with Image.open(io.BytesIO(content)) as decoded:
        np.testing.assert_array_equal(np.asarray(decoded.convert("RGB")), np.asarray(image))


def test_images_fit_their_budget_and_the_first_stays_sharp(photograph):
    path, _ = photograph
    paths = {name: path for name in ("a", "b", "c")}

    def sizes(images):
        return {n: len(base64.b64decode(i.source.split(",")[1])) for n, i in images.items()}

    free = sizes(embedded_images(paths))
    budget = int(0.7 * sum(free.values()))
    images = embedded_images(paths, budget, first=["b"])
    assert sum(sizes(images).values()) <= budget
    assert sizes(images)["b"] == free["b"] and images["b"].width == 400
    assert images["a"].shown == images["b"].shown  # smaller in bytes, not on the page


def test_links_lead_somewhere(page):
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    targets = [a["href"][1:] for a in page.all("a") if "href" in a]
    assert set(targets) <= set(names)
    assert {"scores", "group-spectra", "definitions", "provenance"} <= set(targets)


def test_the_best_candidate_of_each_score_is_marked(page):
    head = next(row for row in page.rows if row and row[0][1] == "Score")
    assert [cell[1] for cell in head[1:]] == list(CANDIDATES)
    rows = {row[0][1].strip(): row[1:] for row in page.rows if len(row) == len(CANDIDATES) + 1}
    title = "Learned distance ↓"
    assert title in rows
    for name, cells in rows.items():
        single = any(text.startswith("–") for _, text in cells)  # of ensembles alone
        if single or ("↓" not in name and "↑" not in name):
            continue
        values = [float(_plain(text)) for _, text in cells]
        best = min(values) if "↓" in name else max(values)
        # Several where they are equal as printed, none where all are.
        marked = [value == best and min(values) < max(values) for value in values]
        assert [kind == "best" for kind, _ in cells] == marked, name
    assert sum(name.startswith("Root mean square error ↓ (s⁻¹)") for name in rows) == 1
    channels = [row[0][1] for row in page.rows if len(row) == 1]
    assert channels[-4:] == ["kinetic energy", "divergence", "vorticity", "other scores"]


def _plain(text):
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
    text = text.partition("(")[0].strip(" ≈")  # without the range of members
    return text.replace("·10", "e").translate(digits).replace(",", "")


def test_numbers_are_defined_with_formula_units_and_source(page):
    names = ("rmse", "ssim", "kinetic_energy", "learned_distance")
    for known in map(definition, names):
        assert known.formula[1:] in page.text and known.source in page.text
    assert "lower is better" in page.text.lower()
    # What these results do not hold is not explained.
    assert definition("rv_coefficient").formula in page.text
    assert definition("site_rmse").formula not in page.text


def test_provenance_is_kept_and_text_is_escaped(page):
    assert "phire-eval truth.h5 --candidate bicubic=bicubic --scale 4" in page.text
    assert "/data/truth.h5" in page.text and "phire 0.1.0" in page.text
    assert json.dumps(NASTY) in page.text
    assert not page.all("b")


def test_counts_of_cities_stand_by_the_cities(page):
    assert any([cell[1] for cell in row] == ["bicubic", "4", "100", "49"] for row in page.rows)


def test_figures_are_drawn_where_they_are_missing_and_regions_have_tables(tmp_path):
    results = write_results(tmp_path / "results", rows=16, times=5, channels=("vorticity",))
    for path in results.glob("*/*.nc"):
        if path.name != "scores.nc":
            path.unlink()
    rows = (results / "summary.csv").read_text("utf-8").splitlines()
    regional = [row.replace(",,", ",North Sea,", 1) for row in rows[1:]]
    (results / "summary.csv").write_text("\n".join(rows + regional) + "\n", encoding="utf-8")
    path = write_report(results)
    assert path == results / "report.html"
    page = Page(path)
    assert len(page.all("img")) == 1 and (results / "figures").is_dir()
    assert len([table for table in page.all("table") if table.get("class") == "scores"]) == 4
    assert sum(a.get("class") == "verdicts" for a in page.all("div")) == 2
    assert "North Sea" in page.text


def test_a_folder_without_summary_or_provenance_gives_a_report_too(tmp_path):
    results = write_results(tmp_path / "results", rows=16, times=5, channels=("vorticity",))
    for path in results.glob("*/*.nc"):
        if path.name != "scores.nc":
            path.unlink()
    (results / "summary.csv").unlink()
    (results / "provenance.json").unlink()
    page = Page(write_report(results))
    assert "No table of scores" in page.text and "not recorded" in page.text
    with pytest.raises(InputError, match="no results folder"):
        write_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "better, values, expected",
    [
        ("lower", [3, 1, 2], {1}),
        ("higher", [3, 1, np.nan], {0}),
        ("zero", [-0.1, 0.2, 0.05], {2}),
        ("one", [0.8, 1.1, 1.3], {1}),
        ("lower", [1.00001, 1.00002, 2], {0, 1}),  # equal as printed
        ("lower", [2, 2, np.nan], set()),
        ("lower", [np.nan, 1, np.nan], set()),  # nothing to compare with
        ("", [1, 2, 3], set()),
    ],
)
def test_best_of(better, values, expected):
    assert best_of(np.array(values, float), Definition("x", "X", "", better=better)) == expected


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        pytest.skip("needs Chromium or Chrome")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser, results):
    """Opens the report in a window of some width; fails where anything is said on the console."""
    complaints, pages = [], []

    def open_page(width=1280, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((results / "report.html").as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not complaints


@pytest.mark.parametrize("width, scheme", [(1280, "light"), (420, "dark")])
def test_it_is_accessible(opened, width, scheme):
    """axe-core finds nothing, with sections closed and open: contrast, names, headings, order."""
    from axe_playwright_python.sync_playwright import Axe

    page = opened(width, scheme)
    for opened_sections in (False, True):
        if opened_sections:
            page.click("#unfold")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    assert page.locator("main > details[open]").count() == page.locator("main > details").count()


@pytest.mark.parametrize("width", [1280, 420])
def test_a_browser_shows_it_whole(opened, width):
    """No missing image, nothing wider than the window."""
    page = opened(width)
    page.click("#unfold")
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_function("[...document.images].every(i => i.complete)")
    broken = "[...document.images].filter(i => !i.naturalWidth).length"
    assert page.evaluate(broken) == 0 and page.evaluate("document.images.length") > 15
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_chooser_works_by_keyboard(opened):
    page = opened()
    page.click("#unfold")
    both = page.locator("figure:visible").count()
    page.focus("#chooser select[name=channel]")
    page.keyboard.press("ArrowDown")  # divergence
    shown = page.locator("figure:visible")
    assert 0 < shown.count() < both
    channels = {shown.nth(i).get_attribute("data-channel") for i in range(shown.count())}
    assert channels <= {"divergence", None}
    rows = page.locator("#scores tr[data-channel]:visible")
    assert {rows.nth(i).get_attribute("data-channel") for i in range(rows.count())} == {
        "divergence"
    }
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")  # the first candidate
    names = page.locator("#scores th[data-candidate]:visible")
    assert names.all_inner_texts() == [next(iter(CANDIDATES))]
    assert page.locator(".verdicts > div:visible").count() == 1
    assert re.fullmatch(r"\d+ figures, table of scores", page.inner_text("#shown"))


def test_the_chooser_picks_figures_by_what_they_show(opened):
    """Figures list their candidates and seasons; where none fits, the nearest are shown instead."""
    page = opened()
    page.click("#unfold")
    first, _, ensemble = CANDIDATES
    script = """() => {
      const figures = [...document.querySelectorAll("figure")];
      figures[2].dataset.shownTimes = '["DJF"]';
      const select = document.createElement("select");
      select.name = "times";
      for (const value of ["", "DJF", "JJA"]) select.add(new Option(value, value));
      document.getElementById("chooser").append(select);
      return figures.length;
    }"""
    count = page.evaluate(script)

    def shown(**choices):
        for name in ("candidate", "times"):
            page.select_option(f"#chooser select[name={name}]", choices.get(name, ""))
        return page.locator("figure:visible").count(), page.inner_text("#shown")

    assert shown()[0] == shown(candidate=ensemble)[0] == count
    fewer = shown(candidate=first)[0]
    assert 0 < fewer < count  # without the figures of ensembles
    number, words = shown(times="DJF")
    assert number == 1 and not words.startswith("no figure")
    number, words = shown(times="JJA", candidate=first)
    assert number == fewer and words.startswith("no figure of this season, others instead")


def test_a_link_opens_the_section_that_it_leads_to(opened):
    page = opened()
    assert not page.locator("#group-spectra figure").first.is_visible()
    page.click("nav a[href='#group-spectra']")
    page.locator("#group-spectra figure").first.wait_for(state="visible")
