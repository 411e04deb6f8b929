package config

var securityArea = &area{
	title: "Security",
	intro: "Every request carries a credential. Connections other than on loopback use TLS, with certificates from PEM files in place of Flink's Java key stores.",
}

// CredentialFile is the file that holds the cluster's credential.
var CredentialFile = securityArea.defineUnset("security.credential.file", path(), "(generated, readable by its owner only)", JobManager|TaskManager|Client,
	"The file with the secret that the daemons and the command line of a cluster share.",
	weirOnly)

// TLSEnabled is whether all connections of the cluster use TLS.
var TLSEnabled = securityArea.define("security.ssl.internal.enabled", boolean(), false, JobManager|TaskManager|Client,
	"Whether all connections use TLS, with both sides showing a certificate. It needs the three files below.",
	deprecated("security.ssl.enabled"))

// TLSCertificateFile has this process's certificate and its chain.
var TLSCertificateFile = securityArea.defineUnset("security.ssl.certificate-file", path(), "(none)", JobManager|TaskManager|Client,
	"The PEM file with the certificate of this process and the chain above it.",
	weirOnly)

// TLSKeyFile has the private key of the certificate.
var TLSKeyFile = securityArea.defineUnset("security.ssl.key-file", path(), "(none)", JobManager|TaskManager|Client,
	"The PEM file with the private key of that certificate.",
	weirOnly)

// TLSCAFile has the certificates of the authorities that are trusted.
var TLSCAFile = securityArea.defineUnset("security.ssl.ca-file", path(), "(none)", JobManager|TaskManager|Client,
	"The PEM file with the certificates of the authorities that the other side's certificate must come from.",
	weirOnly)
