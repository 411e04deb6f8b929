package worker

import (
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
)

// jobTLS secures the data connections of a job, in both directions: all workers
// have the job's one certificate, and each accepts exactly that. So no authority
// and no host name is needed, and nobody else's certificate is worth anything.
func jobTLS(certificate, key []byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("the certificate of the job's data connections: %w", err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAnyClientCert,
		// The usual verification is replaced by a stricter one, not skipped.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 ||
				subtle.ConstantTimeCompare(state.PeerCertificates[0].Raw, pair.Certificate[0]) != 1 {
				return errors.New("the peer does not have the certificate of this job")
			}
			return nil
		},
	}, nil
}
