package config

import (
	"net"
	"strconv"
)

var jobManagerArea = &area{
	title: "JobManager",
	intro: "Where the JobManager is found and where it listens. Weir listens on loopback unless it is told otherwise; listening " +
		"elsewhere needs TLS and a configured credential.",
}

// JobManagerAddress is the host where the JobManager is reached.
var JobManagerAddress = jobManagerArea.define("jobmanager.rpc.address", host(), "localhost", TaskManager|Client,
	"The host where TaskManagers and the command line reach the JobManager.")

// JobManagerPort is the port where the JobManager is reached.
var JobManagerPort = jobManagerArea.define("jobmanager.rpc.port", port(), 6123, JobManager|TaskManager|Client,
	"The port where the JobManager is reached. With 0 the JobManager takes any free port and prints it.")

// JobManagerBindHost is the host that the JobManager listens on.
var JobManagerBindHost = jobManagerArea.define("jobmanager.bind-host", host(), "localhost", JobManager,
	"The host name or address that the JobManager listens on. Flink's own default is 0.0.0.0.")

// JobManagerBindPort is the port that the JobManager listens on, where that is
// not the one at which it is reached. Use [JobManagerListenAddress].
var JobManagerBindPort = jobManagerArea.defineUnset("jobmanager.rpc.bind-port", port(), "(jobmanager.rpc.port)", JobManager,
	"The port that the JobManager listens on, if it differs from the one at which it is reached.")

// JobManagerEndpoint returns host:port where the JobManager is reached.
func JobManagerEndpoint(c *Config) string {
	return net.JoinHostPort(JobManagerAddress.Get(c), strconv.Itoa(JobManagerPort.Get(c)))
}

// JobManagerListenAddress returns host:port that the JobManager listens on.
func JobManagerListenAddress(c *Config) string {
	bound := JobManagerPort.Get(c)
	if JobManagerBindPort.IsSet(c) {
		bound = JobManagerBindPort.Get(c)
	}
	return net.JoinHostPort(JobManagerBindHost.Get(c), strconv.Itoa(bound))
}
