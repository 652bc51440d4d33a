"""The report: one HTML file that needs nothing else."""

import base64
import html.parser
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from evaluation.synthetic import CANDIDATES, write_results
from phire.errors import InputError
from phire.evaluation.catalogue import definition
from phire.evaluation.definitions import Definition
from phire.evaluation.figures import draw_all
from phire.evaluation.report import _lighter, best_of, write_report

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
    assert not page.all("script")


def test_every_figure_is_there_with_words_for_those_who_do_not_see_it(results, page):
    entries = json.loads((results / "figures" / "figures.json").read_text("utf-8"))
    images = page.all("img")
    assert len(images) == len(entries)
    for entry, image in zip(entries, images):
        kind, content = image["src"].removeprefix("data:image/").split(";base64,")
        original = results / "figures" / f"{entry['name']}.png"
        content = base64.b64decode(content)
        assert len(content) <= original.stat().st_size
        with Image.open(io.BytesIO(content)) as decoded, Image.open(original) as drawn:
            assert decoded.format.lower() == kind
            assert decoded.size == drawn.size == (int(image["width"]), int(image["height"]))
        assert entry["title"] in image["alt"] and entry["caption"] in image["alt"]
        assert entry["caption"] in page.text


def test_heavy_figures_become_light_and_look_the_same():
    rows, columns = np.mgrid[:300, :400]
    noise = np.random.default_rng(0).normal(size=(300, 400, 3))
    image = np.stack([rows / 2, columns / 2, 100 + 20 * np.sin(rows / 9)], -1) + 4 * noise
    stream = io.BytesIO()
    Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(stream, "PNG")
    kind, content = _lighter(stream.getvalue())
    assert kind == "webp" and len(content) < stream.tell() / 5
    with Image.open(io.BytesIO(content)) as decoded:
        error = np.asarray(decoded.convert("RGB"), float) - np.clip(image, 0, 255)
    assert np.sqrt((error**2).mean()) < 8
    light = io.BytesIO()
    Image.new("RGB", (50, 50)).save(light, "PNG")
    assert _lighter(light.getvalue()) == ("png", light.getvalue())


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
    marked = [[cell[0] for cell in cells].index("best") for name, cells in rows.items()
              if name == title]  # fmt: skip
    assert marked == [2]  # 0.1 + |exponent| is least for the third
    for name, cells in rows.items():
        if "↓" not in name and "↑" not in name:
            continue
        values = [float(_plain(text)) for _, text in cells]
        best = np.argmin(values) if "↓" in name else np.argmax(values)
        assert cells[best][0] == "best", name
    assert sum(name.startswith("Root mean square error ↓ (s⁻¹)") for name in rows) == 1
    channels = [row[0][1] for row in page.rows if len(row) == 1]
    assert channels == ["kinetic energy", "divergence", "vorticity", "other numbers"]


def _plain(text):
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
    return text.replace("·10", "e").translate(digits).replace(",", "")


def test_numbers_are_defined_with_formula_units_and_source(page):
    names = ("rmse", "ssim", "kinetic_energy", "learned_distance")
    for known in map(definition, names):
        assert known.formula[1:] in page.text and known.source in page.text
    assert "lower is better" in page.text.lower()
    # What these results do not hold is not explained.
    assert definition("rv_coefficient").formula in page.text
    assert definition("anomaly_correlation").formula not in page.text


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
    assert len([table for table in page.all("table") if table.get("class") == "scores"]) == 2
    assert "North Sea" in page.text


def test_a_folder_without_summary_or_provenance_gives_a_report_too(tmp_path):
    results = write_results(tmp_path / "results", rows=16, times=5, channels=("vorticity",))
    for path in results.glob("*/*.nc"):
        if path.name != "scores.nc":
            path.unlink()
    (results / "summary.csv").unlink()
    (results / "provenance.json").unlink()
    page = Page(write_report(results))
    assert "No table of scores" in page.text and "was not kept" in page.text
    with pytest.raises(InputError, match="no folder of results"):
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


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")
@pytest.mark.parametrize("width", [1280, 500])
def test_a_browser_shows_it_whole_and_without_complaint(results, tmp_path, width):
    """No missing image, nothing on the console, nothing wider than the window."""
    probe = (
        "<script>addEventListener('load', () => { const page = document.documentElement;"
        "const broken = [...document.images].filter(i => !(i.complete && i.naturalWidth));"
        "document.title = `images ${document.images.length} broken ${broken.length} "
        "over ${page.scrollWidth - page.clientWidth} width ${page.clientWidth}`; })</script>"
    )
    text = (results / "report.html").read_text("utf-8")
    copy = tmp_path / "report.html"
    copy.write_text(text.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    said = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000",
            f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom",
            copy.as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", said.stdout).group(1)
    images = len(re.findall("<img ", text))
    found = re.fullmatch(r"images (\d+) broken (\d+) over (-?\d+) width (\d+)", title)
    assert found, title
    assert int(found[1]) == images > 15
    assert int(found[2]) == 0
    assert int(found[3]) <= 0
    assert abs(int(found[4]) - width) <= 20
    complaints = [line for line in said.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints
