"""Azure's store by a client that is not ours.

stores.py URL create CONTAINER
stores.py URL read CONTAINER      the objects as lines of JSON: key, length, and the text of short ones
"""
import json
import sys

from azure.storage.blob import ContainerClient

# The account that every Azurite has.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

url, action, name = sys.argv[1:4]
container = ContainerClient(f"{url}/{ACCOUNT}", name, credential=KEY)
if action == "create":
    container.create_container()
else:
    for blob in container.list_blobs():
        data = container.download_blob(blob.name).readall()
        text = data.decode() if len(data) < 10_000 else None
        print(json.dumps({"key": blob.name, "length": len(data), "text": text}))
