"""Other stores than S3, by clients that are not ours.

stores.py azure URL create NAME
stores.py azure URL read NAME      the objects as lines of JSON: key, length, and the text of short ones
"""
import json
import sys

# The account that every Azurite has.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Azure:
    def __init__(self, url, name):
        from azure.storage.blob import ContainerClient

        self.container = ContainerClient(f"{url}/{ACCOUNT}", name, credential=KEY)

    def create(self):
        self.container.create_container()

    def objects(self):
        for blob in self.container.list_blobs():
            yield blob.name, self.container.download_blob(blob.name).readall()


kind, url, action, name = sys.argv[1:5]
store = {"azure": Azure}[kind](url, name)
if action == "create":
    store.create()
else:
    for key, data in store.objects():
        text = data.decode() if len(data) < 10_000 else None
        print(json.dumps({"key": key, "length": len(data), "text": text}))
