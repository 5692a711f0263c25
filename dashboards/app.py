"""The dashboard: `streamlit run dashboards/app.py`, or `bloomery up`."""

import streamlit as st

from components.core.settings import apply_environment
from dashboards.login import let_in
from dashboards.views import compare, data, overview, playground, training


def main() -> None:
    """Draw the page that the address names, once the visitor may see it."""
    apply_environment()
    st.set_page_config(page_title="Bloomery", layout="wide")
    st.html("<style>.stMainBlockContainer {padding: 4rem 2.5rem}</style>")
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
