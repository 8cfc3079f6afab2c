"""Accounts at several hubs that are one person's, and phones that secrets are sealed for, in the companion API."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from app.accounts.linking import Linking, NamingKey
from app.accounts.model import PersonName, SignedIn
from app.accounts.proofs import Audience, Nonce, ProofText, PublicKey, Purpose
from app.accounts.proving import Challenge, Proven, Proving
from app.accounts.readers import NewReader, Readers, ReaderView
from app.accounts.routes import secret
from app.caller import Caller
from app.companion.conditions import Page
from app.policy import Action


class ProofWanted(Struct, forbid_unknown_fields=True):
    """What another hub asks for: its id and the nonce it gave, as they are, and what the proof is to do there."""

    audience: Audience
    nonce: Nonce
    purpose: Purpose


class KeySignIn(Struct, forbid_unknown_fields=True):
    """What the hub that keeps the key answered. `phone` names the session in the list of sessions."""

    public_key: PublicKey
    proof: ProofText
    phone: PersonName


class KeyToLink(Struct, forbid_unknown_fields=True):
    """What the hub that keeps the key answered."""

    public_key: PublicKey
    proof: ProofText


@post("/sign-in/key-challenges", operation_id="startKeySignIn", opt={"action": Action.PUBLIC}, status_code=201)
async def start_key_sign_in(caller: NamedDependency[Caller], proving: NamedDependency[Proving]) -> Response[Challenge]:
    """Begin to prove a key to this hub: what the proof must answer. It is good for one proof, for five minutes.

    A person with an account at one hub is known at another (such as their home's cloud) by that account's key. To prove
    it, an app that is signed in at the one, X, asks the other, Y: Y for a challenge here; X for the proof, with
    `POST /api/me/proofs`; and then Y for a session with `POST /api/sign-in/key`, or, signed in at Y as well, to make
    both accounts one with `POST /api/me/public-keys`. Ask Y yourself, over a connection of which you know the
    certificate, and compare `audience` with the id by which you know Y: a hub that hands you another's challenge would
    sign in there with your proof.
    """
    return secret(proving.challenge(caller.address), 201)


@post("/sign-in/key", operation_id="signInByKey", opt={"action": Action.PUBLIC}, status_code=200)
async def sign_in_by_key(
    caller: NamedDependency[Caller], proving: NamedDependency[Proving], data: JSONBody[KeySignIn]
) -> Response[SignedIn]:
    """Sign in with a proof of a key that names an account here: a new session. See `POST /api/sign-in/key-challenges`.

    Who is a member of a home that this hub keeps together with another one has an account here, without a login. It
    stays so, and is signed in to by its key alone, until `POST /api/me/upgrade` gives it a login.
    """
    session = await proving.sign_in(
        public_key=data.public_key, proof=data.proof, name=data.phone, address=caller.address
    )
    return secret(session)


@post("/me/proofs", operation_id="proveMyKey", opt={"action": Action.SELF, "keyed": False}, status_code=201)
async def prove_my_key(
    caller: NamedDependency[Caller], proving: NamedDependency[Proving], data: JSONBody[ProofWanted]
) -> Response[Proven]:
    """Prove to another hub that the caller is the person of this account. See `POST /api/sign-in/key-challenges`.

    The proof is worth something at that hub alone, once, for that purpose, and before the challenge ends. A hub that
    did not make the account does not keep its key, and answers `key_elsewhere`.
    """
    proven = await proving.prove(caller, audience=data.audience, nonce=data.nonce, purpose=data.purpose)
    return secret(proven, 201)


@get("/me/public-keys", operation_id="listPublicKeys", opt={"action": Action.SELF})
async def list_public_keys(caller: NamedDependency[Caller], linking: NamedDependency[Linking]) -> Page[NamingKey]:
    """The keys that name the caller, here and at other hubs: all of them, there are at most 8."""
    return Page(await linking.list_mine(caller.actor))


@post("/me/public-keys", operation_id="linkPublicKey", opt={"action": Action.SELF}, status_code=201)
async def link_public_key(
    caller: NamedDependency[Caller], linking: NamedDependency[Linking], data: JSONBody[KeyToLink]
) -> NamingKey:
    """Link the key of the caller's account at another hub: both are one person here from then on.

    What this hub knew under that key alone becomes the caller's: homes, shares, invitations. Refused with `key_taken`
    where somebody signs in to the account it names, with `both_members` where both are in one home. See
    `POST /api/sign-in/key-challenges`.
    """
    return await linking.link(caller, public_key=data.public_key, proof=data.proof)


@delete("/me/public-keys/{public_key:str}", operation_id="unlinkPublicKey", opt={"action": Action.SELF})
async def unlink_public_key(
    caller: NamedDependency[Caller], linking: NamedDependency[Linking], public_key: FromPath[str]
) -> None:
    """Unlink a key. It opens nothing from then on; sessions it has opened stay, and end as all others do.

    Refused for the key the account was made with, and while a home knows the caller by it.
    """
    await linking.unlink(caller, public_key)


@get("/me/readers", operation_id="listReaders", opt={"action": Action.SELF})
async def list_readers(caller: NamedDependency[Caller], readers: NamedDependency[Readers]) -> Page[ReaderView]:
    """The caller's phones that secrets of their homes are sealed for: all of them, there are at most 20."""
    return Page(await readers.list_mine(caller.actor))


@post("/me/readers", operation_id="addReader", opt={"action": Action.SELF}, status_code=201)
async def add_reader(
    caller: NamedDependency[Caller], readers: NamedDependency[Readers], data: JSONBody[NewReader]
) -> ReaderView:
    """Have the secrets of the homes the caller owns sealed for a phone of theirs as well.

    The phone makes a key pair of its own (X25519), once, and keeps the private half. Recovering the account ends them
    all: each phone adds itself again when it signs in.
    """
    return await readers.add(caller, data)


@delete("/me/readers/{reader_id:str}", operation_id="removeReader", opt={"action": Action.SELF})
async def remove_reader(
    caller: NamedDependency[Caller], readers: NamedDependency[Readers], reader_id: FromPath[str]
) -> None:
    """Have nothing more sealed for a phone, such as a lost one. What it has read it has."""
    await readers.remove(caller, reader_id)


ROUTER = Router(
    "/",
    route_handlers=[
        start_key_sign_in,
        sign_in_by_key,
        prove_my_key,
        list_public_keys,
        link_public_key,
        unlink_public_key,
        list_readers,
        add_reader,
        remove_reader,
    ],
)
