// A connector's life by go-kafka/connect, unchanged from the Go proxy. Arguments: the worker's address,
// a name, a file.
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	"github.com/go-kafka/connect"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	url, name, file := os.Args[1], os.Args[2], os.Args[3]
	client := connect.NewClient(url)
	waitFor := func(state string) {
		for i := 0; i < 300; i++ {
			status, _, err := client.GetConnectorStatus(name)
			if err == nil && len(status.Tasks) == 1 &&
				status.Connector.State == state && status.Tasks[0].State == state {
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
		log.Fatalf("%s is not %s", name, state)
	}
	isListed := func() bool {
		names, _, err := client.ListConnectors()
		must(err)
		for _, known := range names {
			if known == name {
				return true
			}
		}
		return false
	}
	config := connect.ConnectorConfig{
		"connector.class": "FileStreamSource", "tasks.max": "1", "file": file, "topic": name,
	}
	_, err := client.CreateConnector(&connect.Connector{Name: name, Config: config})
	must(err)
	waitFor("RUNNING")
	if !isListed() {
		log.Fatal("it is not listed")
	}
	found, _, err := client.GetConnector(name)
	must(err)
	if found.Config["topic"] != name || len(found.Tasks) != 1 || found.Tasks[0].ConnectorName != name {
		log.Fatalf("it is %v", found)
	}
	tasks, _, err := client.GetConnectorTasks(name)
	must(err)
	if len(tasks) != 1 || tasks[0].Config["file"] != file {
		log.Fatalf("its tasks are %v", tasks)
	}
	_, err = client.PauseConnector(name)
	must(err)
	waitFor("PAUSED")
	_, err = client.ResumeConnector(name)
	must(err)
	waitFor("RUNNING")
	_, err = client.RestartConnector(name)
	must(err)
	waitFor("RUNNING")
	config["batch.size"] = "7"
	_, _, err = client.UpdateConnectorConfig(name, config)
	must(err)
	waitFor("RUNNING")
	changed, _, err := client.GetConnectorConfig(name)
	must(err)
	if changed["batch.size"] != "7" {
		log.Fatalf("its configuration is %v", changed)
	}
	// What is wrong is told in the API's own words.
	_, err = client.CreateConnector(&connect.Connector{Name: name, Config: config})
	refusal, isRefusal := err.(connect.APIError)
	if !isRefusal || refusal.Code != 409 || refusal.Message != "Connector "+name+" already exists" {
		log.Fatalf("a second one is answered with %v", err)
	}
	_, err = client.DeleteConnector(name)
	must(err)
	if isListed() {
		log.Fatal("it is still listed")
	}
	fmt.Println("done")
}
