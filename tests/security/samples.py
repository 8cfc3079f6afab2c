"""What is sent to try each operation. One that is missing here fails the matrix: a new route needs a line."""

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from app.accounts.proofs import Purpose, prove
from app.clock import to_time
from tests.security.world import VALID, World

Body = Callable[[World, str], Any]


class Sample(Struct, frozen=True):
    """`right` is in rights.RIGHTS. `body` None: the first example of the description, or nothing.

    `path` are ids that belong to whoever asks. `ok` are the statuses that mean "you may" beside the declared one, where
    what is sent cannot be right for everybody (a wrong code, a hub claimed already); `also` are actions it may ask
    policy about besides the declared one.
    """

    right: str
    body: Body | None = None
    path: Callable[[World, str], dict[str, str]] | None = None
    ok: tuple[int, ...] = ()
    also: tuple[str, ...] = ()


def own(param: str) -> Callable[[World, str], dict[str, str]]:
    """The asker's own credential."""
    return lambda world, actor: {param: world.credential(actor)}


def own_key(world: World, actor: str) -> dict[str, str]:
    """The key the asker's account was made with."""
    account = world.api.services.credentials.accounts.get(world.account(actor))
    return {"public_key": "" if account is None else account.public_key.hex()}


def fresh_proof(world: World, actor: str) -> dict[str, str]:
    """A right proof of a key that nobody has."""
    key = Ed25519PrivateKey.generate()
    challenge = world.api.services.proving.challenge("127.0.0.1")
    return {
        "public_key": key.public_key().public_bytes_raw().hex(),
        "proof": prove(
            key.private_bytes_raw(),
            purpose=Purpose.LINK,
            audience=challenge.audience,
            nonce=bytes.fromhex(challenge.nonce),
        ),
    }


def pushed(world: World, actor: str) -> dict[str, Any]:
    """A phone of the asker's that renames the room."""
    node, now = f"{VALID.index(actor) if actor in VALID else 99:016x}", world.api.clock.now().ms
    part = {"kind": "room", "id": world.here.room_id, "what": "put", "fields": {"name": "Mine"}}
    return {"node": node, "now": now, "operations": [{"n": 1, "at": now, "parts": [part]}]}


# Which kinds of facts the asker may see.
FACTS = ("share.read", "member.invite", "audit.read", "home.sync")
ALL_OF_IT = {"members": "remove", "devices": "remove"}

SAMPLES: dict[str, Sample] = {
    # companion
    "getOpenApi": Sample("anybody"),
    "listErrors": Sample("anybody"),
    "getError": Sample("anybody", path=lambda w, a: {"code": "not_found"}),
    "GET /api/docs": Sample("anybody"),
    "GET /api/docs/{name}": Sample("anybody", path=lambda w, a: {"name": "start.js"}),
    # hub and signing in
    "getHub": Sample("anybody"),
    "claimHub": Sample("anybody", ok=(403, 409)),
    "updateHub": Sample("run the hub"),
    "setHubClock": Sample("run the hub", body=lambda w, a: {"time": to_time(w.api.clock.now().ms).isoformat()}),
    "signIn": Sample("anybody", ok=(401,)),
    "recoverAccount": Sample("anybody", ok=(403,)),
    "refreshSession": Sample("anybody", ok=(401,)),
    "startScreenSignIn": Sample("anybody"),
    "startKeySignIn": Sample("anybody"),
    "signInByKey": Sample("anybody", ok=(403,)),
    "pollScreenSignIn": Sample("anybody", path=lambda w, a: {"screen_id": "none"}, ok=(404,)),
    # homes
    "createHome": Sample("make a home"),
    "listHomes": Sample("whoever reads"),
    "getHome": Sample("see the home"),
    "updateHome": Sample("manage the home"),
    "dissolveHome": Sample(
        "own the home", body=lambda w, a: {"name": "Canary Here", "members": "remove", "devices": "remove"}
    ),
    "handOverHome": Sample("own the home", body=lambda w, a: {"account_id": w.here.account_id}),
    "leaveHome": Sample("leave the home"),
    "getOwnMembership": Sample("see the home"),
    "listRooms": Sample("see the home"),
    "getRoom": Sample("see the home"),
    "createRoom": Sample("manage the home"),
    "updateRoom": Sample("manage the home"),
    "removeRoom": Sample("manage the home"),
    "orderRooms": Sample("manage the home", body=lambda w, a: {"rooms": [w.here.room_id]}),
    "listMembers": Sample("see members"),
    "getMember": Sample("see members"),
    "updateMember": Sample("manage the home", body=lambda w, a: {"remark": "x"}),
    "removeMember": Sample("manage the home"),
    "createInvitation": Sample("manage the home"),
    "listInvitations": Sample("manage the home"),
    "getInvitation": Sample("manage the home"),
    "revokeInvitation": Sample("manage the home"),
    # taking up invitations
    "lookAtInvitation": Sample("anybody", ok=(404,)),
    "acceptInvitationCode": Sample("oneself", ok=(404,)),
    "refuseInvitationCode": Sample("oneself", ok=(404,)),
    "signUp": Sample("anybody", ok=(404,)),
    "joinAnonymously": Sample("anybody", ok=(404,)),
    "listOwnInvitations": Sample("oneself"),
    "acceptInvitation": Sample(
        "take up the invitation", path=lambda w, a: {"invitation_id": w.letter}, also=("member.invite",)
    ),
    "refuseInvitation": Sample(
        "take up the invitation", path=lambda w, a: {"invitation_id": w.letter}, also=("member.invite",)
    ),
    # oneself
    "getMe": Sample("oneself"),
    "updateMe": Sample("oneself"),
    "deleteMe": Sample("oneself", ok=(403, 409)),
    "upgradeMe": Sample("oneself", ok=(409,)),
    "changePassword": Sample("oneself", ok=(403, 404)),
    "turnDigestLoginOn": Sample("oneself", ok=(403, 404)),
    "turnDigestLoginOff": Sample("oneself"),
    "renewRecoveryCode": Sample("oneself", ok=(403, 404)),
    "signOut": Sample("oneself"),
    "listSessions": Sample("oneself"),
    "renameSession": Sample("oneself", path=own("session_id")),
    "revokeSession": Sample("oneself", path=own("session_id")),
    "revokeOtherSessions": Sample("oneself"),
    "lookAtScreen": Sample("oneself", ok=(404,)),
    "approveScreen": Sample("oneself", ok=(404,)),
    "listKeys": Sample("oneself"),
    "createKey": Sample("have keys"),
    "revokeKey": Sample("the owner's key", path=lambda w, a: {"key_id": w.credential("key_read")}),
    # keys that name them, here and elsewhere
    "proveMyKey": Sample("oneself"),
    "listPublicKeys": Sample("oneself"),
    "linkPublicKey": Sample("have keys", body=fresh_proof),
    "unlinkPublicKey": Sample("oneself", path=own_key, ok=(409,)),
    "listReaders": Sample("oneself"),
    "addReader": Sample("have keys"),
    "removeReader": Sample("the owner's phone", path=lambda w, a: {"reader_id": w.reader}),
    # sharing
    "listShares": Sample("read as an admin"),
    "getShare": Sample("read as an admin"),
    "updateShare": Sample("manage the home"),
    "endShare": Sample("manage the home"),
    "shareDevice": Sample("manage the device"),
    "shareGroup": Sample("manage the group"),
    "listSharesOfDevice": Sample("read the device as an admin"),
    "listSharesOfGroup": Sample("read the group as an admin"),
    "acceptShare": Sample("take up the offer", path=lambda w, a: {"share_id": w.offer}, also=("share.manage",)),
    "refuseShare": Sample("take up the offer", path=lambda w, a: {"share_id": w.offer}, also=("share.manage",)),
    "giveBackShare": Sample("give the share back"),
    "listReceivedShares": Sample("oneself"),
    "lookAtShare": Sample("oneself", ok=(404,)),
    "acceptShareCode": Sample("oneself", ok=(404,)),
    "refuseShareCode": Sample("oneself", ok=(404,)),
    # devices
    "listProducts": Sample("anybody"),
    "getProduct": Sample("anybody", path=lambda w, a: {"product_id": "lamp"}),
    "listDevices": Sample("see the home"),
    "registerDevice": Sample("pair"),
    "addPackage": Sample("run the hub", ok=(400,)),
    "listPackages": Sample("run the hub"),
    "removePackage": Sample("run the hub", ok=(404,)),
    "upgradeDevice": Sample("manage the device", ok=(404,)),
    "listUpgrades": Sample("see the device"),
    "configureDevice": Sample("manage the device"),
    "getDeviceConfig": Sample("see the device's journal"),
    "collectDeviceLog": Sample("manage the device"),
    "listDeviceFiles": Sample("see the device's journal"),
    "GET /api/devices/{device_id}/files/{name}": Sample("see the device's journal", ok=(404,)),
    "renewDeviceSecret": Sample("manage the device"),
    "resetDevice": Sample("manage the device"),
    "getDeviceReset": Sample("see the device's journal", ok=(404,)),
    "getDeviceHeartbeat": Sample("see the device", ok=(404,)),
    "listResets": Sample("read as an admin"),
    "getDevice": Sample("see the device"),
    "getDeviceService": Sample("see the device"),
    "updateDevice": Sample("manage the device", body=lambda w, a: {"name": "Mine", "room_id": w.here.room_id}),
    "freezeDevice": Sample("manage the device"),
    "unfreezeDevice": Sample("manage the device"),
    # Into the home it is in already: who may in both is in test_transferred.
    "transferDevice": Sample(
        "manage the device", body=lambda w, a: {"home_id": w.here.home_id}, ok=(409,), also=("pair",)
    ),
    "getDeviceHubs": Sample("manage the device"),
    "updateDeviceHubs": Sample("manage the device", body=lambda w, a: {"standby_id": None}),
    "getDeviceNames": Sample("see the device"),
    "nameDeviceParts": Sample("manage the device"),
    "listDeviceUsers": Sample("see the device's people"),
    "addDeviceUser": Sample("manage the device's people"),
    "getDeviceUser": Sample("see the device's people"),
    "updateDeviceUser": Sample("manage the device's people"),
    "removeDeviceUser": Sample("manage the device's people"),
    "removeDevice": Sample("manage the device"),
    "desireDeviceValues": Sample("control the device", body=lambda w, a: {"values": {"on": True}}),
    "listDeviceJournal": Sample("see the device's journal"),
    "listHomeAudit": Sample("read as an admin"),
    # groups
    "createGroup": Sample("manage the home", body=lambda w, a: {"name": "Mine", "devices": [w.here.device_id]}),
    "listGroups": Sample("see the home"),
    "getGroup": Sample("see the group"),
    "updateGroup": Sample("manage the group", body=lambda w, a: {"name": "Mine", "devices": [w.here.device_id]}),
    "removeGroup": Sample("manage the group"),
    "commandGroup": Sample("control the group"),
    "getGroupCommand": Sample("control the group"),
    # commands
    "commandDevice": Sample("control the device"),
    "listCommands": Sample("control the device", also=("device.journal",)),
    "getCommand": Sample("control the device"),
    # pairing
    "listPairingMethods": Sample("anybody"),
    "startPairing": Sample("pair", body=lambda w, a: {"method": "wired"}, ok=(400,)),
    "listPairings": Sample("pair"),
    "listPairingInbox": Sample("pair"),
    "listHomeKeys": Sample("own the home"),
    "admitHub": Sample("own the home", path=lambda w, a: {"hub_id": "h-2"}, ok=(404,)),
    "makeRecoveryCode": Sample("own the home", ok=(409,)),
    "recoverHome": Sample("own the home", ok=(409,)),
    "listSealedSecrets": Sample("own the home"),
    "exportMesh": Sample("own the home", ok=(404,)),
    "importMesh": Sample("own the home", ok=(409,), also=("pair",)),
    "attachUpstream": Sample(
        "own the home",
        body=lambda w, a: {"url": "mqtt://127.0.0.1:9", "device_id": "gateway_1", "secret": "a-canary-bird"},
    ),
    "getUpstream": Sample("own the home", ok=(404,)),
    "detachUpstream": Sample("own the home", ok=(404,)),
    "readPrintedCode": Sample("read a code"),
    "getPairing": Sample("pair"),
    "showPairingCode": Sample("see the code of one's own pairing", ok=(410,)),
    "changeWifi": Sample("pair", ok=(409,)),
    "listWifiChanges": Sample("pair"),
    "getWifiChange": Sample("pair"),
    "cancelWifiChange": Sample("pair"),
    "listWifiNetworks": Sample("pair"),
    "keepWifiNetwork": Sample("pair"),
    "forgetWifiNetwork": Sample("pair"),
    "getPairingHandover": Sample("see the code of one's own pairing", ok=(409,)),
    "finishPairing": Sample("pair"),
    "cancelPairing": Sample("pair"),
    "confirmPairing": Sample("pair", ok=(409,)),
    "choosePairingCandidate": Sample("pair", ok=(409,)),
    "providePairingPin": Sample("pair", ok=(409,)),
    # enrolling hubs: the world is a hub's, where nobody gets a code
    "createHubEnrolment": Sample("make a home", ok=(409,)),
    "getHubEnrolment": Sample("the owner's hub"),
    "confirmHubEnrolment": Sample("the owner's hub"),
    "refuseHubEnrolment": Sample("the owner's hub"),
    "listHubs": Sample("make a home"),
    "getEnrolledHub": Sample("the owner's hub"),
    "updateEnrolledHub": Sample("the owner's hub"),
    "revokeHub": Sample("the owner's hub"),
    "listHomeHubs": Sample("see the home"),
    # Where nothing listens.
    "joinCloud": Sample(
        "run the hub", body=lambda w, a: {"code": "doorstep:enrol?url=https://127.0.0.1:9&pin=&code=K7QF"}, ok=(409,)
    ),
    # How a home stands to its cloud. The world's homes are logs of its own; it has no cloud, and is none.
    "getHomeSync": Sample("see the home"),
    "giveHomeToCloud": Sample("own the home", ok=(409,)),
    "attachHub": Sample("own the home", ok=(409,)),
    "detachHub": Sample("own the home", ok=(409,)),
    "listConflicts": Sample("read as an admin"),
    "getConflict": Sample("read as an admin"),
    "undoConflict": Sample("manage the home", also=("room.manage",)),
    "dismissConflict": Sample("manage the home"),
    "listFacts": Sample("see members", also=FACTS),
    "pushOperations": Sample("push to the home", body=pushed, also=("room.manage",)),
    "getCloud": Sample("run the hub"),
    "leaveCloud": Sample("run the hub", ok=(404,)),
}
