"""A connector's life by kafka-connect-py, unchanged from PyPI. Arguments: the worker's address, a name, a file."""
import sys
import time

from kafka_connect import KafkaConnect

url, name, file = sys.argv[1:4]
connect = KafkaConnect(url=url)


def wait_for(state):
    for _ in range(300):
        try:
            status = connect.get_connector_status(name)
            states = [status["connector"]["state"]] + [task["state"] for task in status["tasks"]]
            if len(states) == 2 and set(states) == {state}:
                return
        except Exception:  # not there yet
            pass
        time.sleep(0.2)
    sys.exit(f"{name} is not {state}")


assert connect.get_cluster_info()["version"] == "4.3.1"
config = {"connector.class": "FileStreamSource", "tasks.max": "1", "file": file, "topic": name}
connect.create_connector({"name": name, "config": config})
wait_for("RUNNING")
assert name in connect.list_connectors()
assert connect.get_connector(name)["config"]["topic"] == name
assert connect.get_connector_config(name)["file"] == file
connect.pause_connector(name)
wait_for("PAUSED")
connect.resume_connector(name)
wait_for("RUNNING")
connect.restart_connector(name, include_tasks=True)
wait_for("RUNNING")
connect.update_connector(name, {**config, "batch.size": "7"})
wait_for("RUNNING")
assert connect.get_connector_config(name)["batch.size"] == "7"
assert any(plugin["type"] == "source" for plugin in connect.list_connector_plugins())
connect.delete_connector(name)
assert name not in connect.list_connectors()
print("done")
