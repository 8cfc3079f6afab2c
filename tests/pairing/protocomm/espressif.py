"""Drives Espressif's own client: run as a program, with `tests.outside.ESPRESSIF` importable. Prints what it did.

Arguments: host:port, security scheme, proof of possession, SSID, password. Exits with 1 where it was refused.
"""

import sys
from importlib import import_module

USERNAME = "wifiprov"


def main(where: str, scheme: str, pop: str, ssid: str, password: str) -> int:
    client = import_module("rmaker_tools.common.prov")
    device = import_module("rmaker_tools.common.transport").Transport_HTTP(where)
    schemes = import_module("rmaker_tools.common.security")
    print("version", device.send_data("proto-ver", "---"))
    session = schemes.Security1(pop, False) if scheme == "1" else schemes.Security2(1, USERNAME, pop, False)
    try:
        answer = None
        while (request := session.security_session(answer)) is not None:
            answer = device.send_data("prov-session", request)
    except RuntimeError as error:
        print("refused", error)
        return 1
    client.scan_start_response(session, device.send_data("prov-scan", client.scan_start_request(session)))
    found = client.scan_status_response(session, device.send_data("prov-scan", client.scan_status_request(session)))
    request = client.scan_result_request(session, 0, found["count"])
    for seen in client.scan_result_response(session, device.send_data("prov-scan", request)):
        print("seen", seen["ssid"])
    request = client.config_set_config_request(session, ssid, password)
    client.config_set_config_response(session, device.send_data("prov-config", request))
    request = client.config_apply_config_request(session)
    client.config_apply_config_response(session, device.send_data("prov-config", request))
    request = client.config_get_status_request(session)
    print("status", client.config_get_status_response(session, device.send_data("prov-config", request)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
