"""The dashboard: `streamlit run dashboards/app.py`, or `bloomery up`."""

import streamlit as st

from components.core.settings import apply_environment
from dashboards.login import let_in
from dashboards.views import compare, data, overview, playground, training

# Graphs keep the size that they were laid out for, a third above 11 px, and scroll: Streamlit
# shrinks them to their column, and their words to 9.6 px.
_STYLE = """
.stMainBlockContainer {padding: 4rem 2.5rem}
.stGraphVizChart {overflow: auto}
.stGraphVizChart svg {max-width: none; min-width: max-content}
.stGraphVizChart svg text {font-size: 11px}
"""


def main() -> None:
    """Draw the page that the address names, once the visitor may see it."""
    apply_environment()
    st.set_page_config(page_title="Bloomery", layout="wide")
    st.html(f"<style>{_STYLE}</style>")
    let_in()
    first = st.Page(overview.draw, title="Overview", url_path="overview")
    pages = [
        first,
        st.Page(compare.draw, title="Compare models", url_path="compare"),
        st.Page(training.draw, title="Training", url_path="training"),
        st.Page(data.draw, title="Data", url_path="data"),
        st.Page(playground.draw, title="Playground", url_path="playground"),
    ]
    # Streamlit gives its default page no address but `/`, and the overview is to have one.
    start = st.Page(
        lambda: st.switch_page(first), title="Bloomery", default=True, visibility="hidden"
    )
    st.navigation([start, *pages], position="top").run()


if __name__ == "__main__":
    main()
