package config

import (
	"math"
	"time"
)

var clusterArea = &area{
	title: "Cluster",
	intro: "How the daemons find out about each other, and for how long they wait.",
}

// HeartbeatInterval is how often a heartbeat is sent over each stream.
var HeartbeatInterval = clusterArea.define("heartbeat.interval", duration(time.Millisecond), 10*time.Second, JobManager|TaskManager,
	"How often the JobManager and each TaskManager send each other a heartbeat.")

// HeartbeatTimeout is the silence after which the other side is dead. A
// connection that is closed is noticed at once and does not wait for it.
var HeartbeatTimeout = clusterArea.define("heartbeat.timeout", duration(time.Millisecond), 50*time.Second, JobManager|TaskManager,
	"The silence after which the other side is taken for dead. A connection that is closed is noticed at once.")

// SlotRequestTimeout is how long a job waits for the slots that it lacks.
var SlotRequestTimeout = clusterArea.define("slot.request.timeout", duration(0), 5*time.Minute, JobManager,
	"How long a job waits for slots before it fails. It says meanwhile how many it has and how many it needs.")

// RegistrationInitialTimeout is the time allowed for the first attempt of a
// TaskManager to register. Each further attempt has twice as long.
var RegistrationInitialTimeout = clusterArea.define("cluster.registration.initial-timeout", duration(time.Millisecond), 100*time.Millisecond, TaskManager,
	"The time allowed for a TaskManager's first attempt to register. Each further attempt is allowed twice as long.")

// RegistrationMaxTimeout is the most that an attempt to register is allowed.
var RegistrationMaxTimeout = clusterArea.define("cluster.registration.max-timeout", duration(time.Millisecond), 30*time.Second, TaskManager,
	"The most time that an attempt to register is allowed.")

// RegistrationErrorDelay is the pause after an attempt that failed otherwise
// than by a timeout.
var RegistrationErrorDelay = clusterArea.define("cluster.registration.error-delay", duration(0), 10*time.Second, TaskManager,
	"The pause after an attempt to register that failed, other than by running out of time.")

// RegistrationRefusedDelay is the pause after the JobManager has refused a
// registration.
var RegistrationRefusedDelay = clusterArea.define("cluster.registration.refused-registration-delay", duration(0), 30*time.Second, TaskManager,
	"The pause after the JobManager has refused a registration.")

// ClientTimeout is how long the command line waits for an answer.
var ClientTimeout = clusterArea.define("client.timeout", duration(time.Millisecond), time.Minute, Client,
	"How long the command line waits for the JobManager's answer to one request. Streams such as watching a job have no limit.")

// JobStoreExpirationTime is how long a job is remembered after its end.
var JobStoreExpirationTime = clusterArea.define("jobstore.expiration-time", durationWithUnit(), time.Hour, JobManager,
	"How long the JobManager remembers a job after its end.")

// JobStoreMaxCapacity is how many ended jobs are remembered.
var JobStoreMaxCapacity = clusterArea.define("jobstore.max-capacity", integer(1, math.MaxInt32), math.MaxInt32, JobManager,
	"How many jobs the JobManager remembers after their end. The oldest are forgotten first.")
