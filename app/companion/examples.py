"""An example of every request body, by operation id and name; shown in the description, and tried by its tests."""

from typing import Any

Examples = dict[str, dict[str, Any]]

HOME = "01985f6e-4b2a-7c31-9d52-3f0a1c7e8b90"
ROOM = "01985f6e-5c10-7d02-8a41-77b2e90c1d35"
OTHER_ROOM = "01985f6e-5c44-7e9b-b1f0-0c6d2a8e4f71"
PERSON = "01985f6e-6d80-7a55-9c3e-5b1f7a2d9e06"
DEVICE = "01985f6e-7e91-7b66-8d4f-6c208b3eaf17"

PUBLIC_KEY = "6f1d5c90a4b7e2833fd0917c5ae64b28d3f8017ba96c4e52b1d07f3a8c95e641"
HUB = "h-mnb4q6tz2kd7xw5yc3fjvrga"

_WORKING_HOURS = {"days": [0, 1, 2, 3, 4], "start": 480, "end": 1020}

_ACCOUNTS: Examples = {
    "claimHub": {
        "claim": {
            "code": "K7QF-29MD-XW4T",
            "login": "anna@example.org",
            "password": "a long sentence only Anna knows",
            "name": "Anna",
            "phone": "Anna's phone",
            "time": "2026-05-04T18:30:00+02:00",
        }
    },
    "updateHub": {"rename": {"name": "Lindenweg 3"}},
    "setHubClock": {"now": {"time": "2026-05-04T18:30:00+02:00"}},
    "signIn": {
        "sign in": {"login": "anna@example.org", "password": "a long sentence only Anna knows", "phone": "Anna's phone"}
    },
    "recoverAccount": {
        "recover": {
            "login": "anna@example.org",
            "recovery_code": "H3RT-9WQX-LM2P-7VKD",
            "password": "another sentence only Anna knows",
            "phone": "Anna's new phone",
        }
    },
    "refreshSession": {"refresh": {"refresh_token": "dsr_0Yb2nVx6tq1LwG5hJ8kZ3cR7mP4sD9fA"}},
    "updateMe": {"rename": {"name": "Anna Berg"}},
    "deleteMe": {"confirm": {"password": "a long sentence only Anna knows"}},
    "upgradeMe": {"upgrade": {"login": "ben@example.org", "password": "a long sentence only Ben knows"}},
    "changePassword": {
        "change": {"old": "a long sentence only Anna knows", "new": "another sentence only Anna knows"},
    },
    "turnDigestLoginOn": {"confirm": {"password": "a long sentence only Anna knows"}},
    "renewRecoveryCode": {"confirm": {"password": "a long sentence only Anna knows"}},
    "startScreenSignIn": {"start": {"screen": "Tablet in the kitchen"}},
    "pollScreenSignIn": {"poll": {"poll_token": "dsp_4Tq8ZrW1nK6cB9xV3hJ7mL2gD5sF0aYe"}},
    "lookAtScreen": {"look": {"code": "K7QF29MDXW4T"}},
    "approveScreen": {"approve": {"code": "K7QF29MDXW4T"}},
    "signInByKey": {
        "sign in": {
            "public_key": PUBLIC_KEY,
            "proof": "AQEAAAGd89fPIFx-GaBP0riDbgHJSrf10mDRkDvoTGr3JR4IssZdlHMKCzBVep_E6Q4zWH2"
            "ix-wRNluApcrvFDleg6jN8hc8YYar0PUaP2SJrtP4HUJnjLHW-yBFao-02f4jSG2St9wBJg",
            "phone": "Anna's phone",
        }
    },
    "proveMyKey": {
        "to sign in": {
            "audience": HUB,
            "nonce": "0000019df3d7cf205c7e19a04fd2b8836e01c94ab7f5d260d1903be84c6af7251e08b2c65d94730a",
            "purpose": "sign-in",
        }
    },
    "linkPublicKey": {
        "link": {
            "public_key": PUBLIC_KEY,
            "proof": "AQIAAAGd89fPIFx-GaBP0riDbgHJSrf10mDRkDvoTGr3JR4IssZdlHMKBzBZgqvU_SZPeKH"
            "K8xxFbpfA6RI7ZI223wgxWoOs1f4nUHmiy_QdRm-YweoTPGWOt-AJMluErdb_KFF6o8z1Hg",
        }
    },
    "addReader": {
        "add": {
            "name": "Anna's phone",
            "seal_key": "0900000000000000000000000000000000000000000000000000000000000000",
        }
    },
    "createKey": {
        "read and control in one home": {
            "name": "Dashboard",
            "scopes": ["read", "control"],
            "home_id": HOME,
            "expires_at": "2027-01-01T00:00:00+01:00",
        },
        "everything": {"name": "Backup script", "scopes": ["read", "control", "manage"]},
    },
    "renameSession": {"rename": {"name": "Tablet in the kitchen"}},
}

_HOMES: Examples = {
    "createHome": {"create": {"name": "Lindenweg", "time_zone": "Europe/Berlin"}},
    "updateHome": {
        "rename": {"name": "Lindenweg 3"},
        "locate": {"latitude": 52.52, "longitude": 13.405, "address": "Lindenweg 3, Berlin"},
    },
    "dissolveHome": {
        "empty": {"name": "Lindenweg"},
        "with all that is in it": {"name": "Lindenweg", "devices": "remove", "members": "remove"},
    },
    "handOverHome": {"hand over": {"account_id": PERSON}},
    "admitHub": {"as it shows": {"code": "7K3M-PQ2X-9ABC-0TAR-PAZ8"}},
    "recoverHome": {"as it was written down": {"code": "7K3M-PQ2X-9ABC-0TAR-PAZ8-BAD8"}},
    "createRoom": {"create": {"name": "Kitchen", "icon": "kitchen"}},
    "updateRoom": {"rename": {"name": "Dining room"}},
    "orderRooms": {"order": {"rooms": [OTHER_ROOM, ROOM]}},
    "updateMember": {
        "promote": {"role": "admin"},
        "limit a guest": {"until": "2026-08-31T22:00:00+02:00", "hours": [_WORKING_HOURS], "only": [DEVICE]},
    },
}

_JOINING: Examples = {
    "createInvitation": {
        "by code": {"role": "member"},
        "somebody known here": {"role": "admin", "login": "ben@example.org"},
        "a guest, for the summer": {
            "role": "guest",
            "until": "2026-08-31T22:00:00+02:00",
            "hours": [_WORKING_HOURS],
            "only": [DEVICE],
            "anonymous": True,
            "expires_in": 86400,
        },
    },
    "lookAtInvitation": {"look": {"code": "7HKM-P3QX-9TWD"}},
    "acceptInvitationCode": {"accept": {"code": "7HKM-P3QX-9TWD"}},
    "refuseInvitationCode": {"refuse": {"code": "7HKM-P3QX-9TWD"}},
    "joinAnonymously": {"join": {"code": "7HKM-P3QX-9TWD", "name": "Cleaner", "phone": "A phone"}},
    "signUp": {
        "sign up": {
            "code": "7HKM-P3QX-9TWD",
            "login": "ben@example.org",
            "password": "a long sentence only Ben knows",
            "name": "Ben",
            "phone": "Ben's phone",
        }
    },
}

_CLOUD: Examples = {
    "joinCloud": {
        "join": {"code": "doorstep:enrol?url=https%3A%2F%2Fcloud.example.org&pin=&code=K7QF-29MD-XW4T"},
    },
    "updateEnrolledHub": {"rename": {"name": "Lindenweg 3"}},
    "attachHub": {"attach": {"hub_id": HUB}},
    "pushOperations": {
        "a room renamed on the train": {
            "node": "5f1c9a3e7b20d846",
            "now": 1_777_000_000_000,
            "operations": [
                {
                    "n": 1,
                    "at": 1_776_999_400_000,
                    "seen": 412,
                    "parts": [{"kind": "room", "id": ROOM, "what": "put", "fields": {"name": "Study"}}],
                }
            ],
        }
    },
}

_DEVICES: Examples = {
    "createGroup": {"lights": {"name": "Ceiling", "devices": [DEVICE], "least": "member"}},
    "updateGroup": {"rename": {"name": "Ceiling lights"}, "other devices": {"devices": [DEVICE]}},
    "commandGroup": {"set": {"kind": "set", "service": "light", "values": {"on": False}}},
    "upgradeDevice": {"take": {"package_id": "5d1c9a0e7b3f42d68a10c4e2b97f6d35"}},
    "configureDevice": {"set": {"content": {"interval": 60, "quiet": True}, "days": 7}},
    "collectDeviceLog": {"for a day": {"until": "2027-01-01T00:00:00+01:00"}, "no more": {"until": None}},
    "registerDevice": {
        "with a secret that is made": {"product_id": "lamp", "node_id": "0001", "name": "Hall lamp"},
        "with a certificate": {"product_id": "plug", "node_id": "0002", "auth": "certificate", "link": "https"},
        "calling home": {"product_id": "contact_sensor", "node_id": "0003", "link": "heartbeat"},
    },
    "resetDevice": {"wipe and keep": {"record": "keep"}, "wipe and remove": {"record": "remove"}},
    "renewDeviceSecret": {
        "make one": {"disconnect": True},
        "beside the old one": {"which": "secondary", "secret": "k7mPq2vX9sLw4tRz"},
    },
    "updateDevice": {
        "rename": {"name": "Reading lamp"},
        "move": {"room_id": ROOM, "position": 2},
        "alert": {"offline_alert_after": 300},
    },
    "updateDeviceHubs": {
        "hand over": {"hub_id": HUB},
        "have one stand by": {"standby_id": HUB},
        "nobody": {"standby_id": None},
    },
    "transferDevice": {
        "to a room there": {"home_id": HOME, "room_id": ROOM},
        "to the other home": {"home_id": HOME},
    },
    "nameDeviceParts": {
        "name": {"names": {"light": {"on": "Bulb over the table"}}},
        "as the product has it": {"names": {"light": {"on": None}}},
    },
    "addDeviceUser": {
        "on a scale": {
            "nick_name": "Anna",
            "sex": "female",
            "birthday": "1988-04-21",
            "height": 171,
            "weight": 64500,
        },
        "at a door": {"nick_name": "Cleaner", "sex": "male", "contact": "+49 30 901820"},
    },
    "updateDeviceUser": {"weigh": {"weight": 63900}, "forget the birthday": {"birthday": None}},
    "desireDeviceValues": {
        "bright": {"values": {"on": True, "brightness": 700}},
        "no longer": {"values": {"on": None}},
    },
    "commandDevice": {
        "switch on": {"service": "light", "values": {"on": True, "brightness": 700}, "expires_in": 20},
        "read afresh": {"service": "light", "kind": "get"},
        "a message": {"kind": "message", "name": "news", "message": {"content": "hello"}, "expires_in": 3600},
    },
}

_PAIRING: Examples = {
    "startPairing": {
        "search": {"method": "wired", "name": "Reading lamp", "room_id": ROOM},
        "by label": {"method": "wired", "device_id": "d-2gn7prq3ufryaprn6j7oedxk", "pin": "1234-5678"},
        "by address": {"method": "wired", "host": "192.0.2.17", "port": 5540},
        "three at once": {"want": 3, "ssid": "Lindenweg", "wifi_password": "correct horse battery"},
        "a camera": {"method": "qr_shown", "ssid": "Lindenweg", "wifi_password": "correct horse battery"},
        "onto a known network": {"method": "qr_shown", "ssid": "Lindenweg"},
        "by the code on the device": {"code": "DS1:I=d-2gn7prq3ufryaprn6j7oedxk;P=1234-5678;M=lamp;T=wired"},
    },
    "readPrintedCode": {
        "our own label": {"code": "DS1:I=d-2gn7prq3ufryaprn6j7oedxk;P=1234-5678;M=lamp;T=wired"},
        "Matter": {"code": "MT:Y.K90AFN00KA0648G00"},
    },
    "changeWifi": {
        "a new router": {"ssid": "Lindenweg", "password": "the password of the new router"},
        "a network the home knows": {"ssid": "Lindenweg"},
    },
    "keepWifiNetwork": {
        "keep": {"ssid": "Lindenweg", "password": "correct horse battery"},
        "one radio of it": {"ssid": "Lindenweg", "password": "correct horse battery", "bssid": "02:00:5e:10:00:01"},
        "open": {"ssid": "Lindenweg guests"},
    },
    "attachUpstream": {
        "a cloud of one's own": {
            "url": "mqtts://cloud.example.org:8883",
            "device_id": "gateway_lindenweg",
            "secret": "a-secret-of-24-letters..",
        },
    },
    "importMesh": {
        "a switch that another provisioner has brought in": {
            "database": {
                "meshUUID": "7A4BB3F5-0C5E-4C0B-9E4A-5D0E0F4D6A11",
                "meshName": "Lindenweg",
                "timestamp": "2026-05-04T18:30:00Z",
                "netKeys": [
                    {"index": 0, "key": "7DD7364CD842AD18C17C2B820C84C3D6", "timestamp": "2026-05-04T18:30:00Z"}
                ],
                "appKeys": [{"index": 0, "boundNetKey": 0, "key": "63964771734FBD76E3B40519D1D94A48"}],
                "nodes": [
                    {
                        "UUID": "0C2A1B9E-2F4D-4E7A-8B11-9C0D5E6F7A81",
                        "name": "Switch in the hall",
                        "unicastAddress": "0002",
                        "deviceKey": "9D6DD0E96EB25DC19A40ED9914F8F03F",
                        "configComplete": True,
                        "cid": "05F1",
                        "pid": "0001",
                        "vid": "0001",
                        "crpl": "0020",
                        "features": {"relay": 1, "proxy": 1, "friend": 2, "lowPower": 2},
                        "netKeys": [{"index": 0}],
                        "appKeys": [{"index": 0}],
                        "elements": [
                            {
                                "index": 0,
                                "location": "0000",
                                "models": [{"modelId": "0000"}, {"modelId": "1000", "bind": [0]}],
                            }
                        ],
                    }
                ],
            },
            "iv_index": 0,
        }
    },
    "confirmPairing": {"same code": {"accepted": True}},
    "choosePairingCandidate": {"choose": {"candidate_id": "d-2gn7prq3ufryaprn6j7oedxk"}},
    "providePairingPin": {"pin": {"pin": "1234-5678"}},
}

_SHARING: Examples = {
    "shareDevice": {
        "with somebody known here": {"level": "control", "login": "rosa@example.org"},
        "by code, on weekdays until the end of August": {
            "level": "view",
            "until": "2026-08-31T22:00:00+02:00",
            "hours": [_WORKING_HOURS],
            "remark": "the neighbours",
            "expires_in": 86400,
        },
    },
    "shareGroup": {"with somebody known here": {"level": "view", "login": "rosa@example.org"}},
    "updateShare": {"view only, without an end": {"level": "view", "until": None}},
    "lookAtShare": {"look": {"code": "P4WX-8KTN-2HQD"}},
    "acceptShareCode": {"accept": {"code": "P4WX-8KTN-2HQD"}},
    "refuseShareCode": {"refuse": {"code": "P4WX-8KTN-2HQD"}},
}

EXAMPLES: Examples = {**_ACCOUNTS, **_HOMES, **_JOINING, **_SHARING, **_DEVICES, **_PAIRING, **_CLOUD}
