"""Who may look: whoever knows `BLOOMERY_AUTH`, else whoever is on this machine."""

import hmac
import time

import streamlit as st

from components.core.servers.access import credentials, is_loopback

_WRONG_SECONDS = 1.0  # a guess takes as long


def is_right(given: tuple[str, str], wanted: tuple[str, str]) -> bool:
    """Return whether a login is the wanted one; the time it takes does not say how close it is."""
    pairs = zip(given, wanted, strict=True)
    return all([hmac.compare_digest(one.encode(), other.encode()) for one, other in pairs])


def let_in() -> None:
    """Draw nothing further until the visitor may see it."""
    wanted = credentials()
    if wanted is None:
        _refuse_the_open_door()
    elif not st.session_state.get("is_in"):
        _ask(wanted)


def _refuse_the_open_door() -> None:
    address = st.get_option("server.address") or ""  # none is every address
    if not is_loopback(address):
        st.error(
            "This dashboard listens beyond this machine and asks for no login, so it shows "
            "nothing. Set BLOOMERY_AUTH to user:password, or start it with "
            "--server.address 127.0.0.1, as bloomery up does."
        )
        st.stop()


def _ask(wanted: tuple[str, str]) -> None:
    place = st.empty()
    with place.container(), st.form("login", width=420):
        st.subheader("Bloomery")
        user = st.text_input("User", autocomplete="username")
        password = st.text_input("Password", type="password", autocomplete="current-password")
        sent = st.form_submit_button("Log in", type="primary")
    if sent and is_right((user, password), wanted):
        st.session_state["is_in"] = True
        place.empty()
        return
    if sent:
        time.sleep(_WRONG_SECONDS)
        st.error("That is not the user and password that BLOOMERY_AUTH was set to.")
    st.stop()
