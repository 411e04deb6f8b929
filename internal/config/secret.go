package config

import "strings"

// Masked is printed in place of a secret.
const Masked = "******"

// sensitiveParts are the parts of names by which Flink tells keys whose values
// are secrets (GlobalConfiguration.isSensitive). They are in lower case.
var sensitiveParts = []string{
	"password", "secret", "fs.azure.account.key", "apikey", "api-key", "auth-params", "service-key", "token",
	"basic-auth", "jaas.config", "http-headers",
}

// Sensitive reports whether the value of a key is a secret, which is printed
// nowhere. As in Flink, a key's name tells.
func Sensitive(key string) bool {
	key = strings.ToLower(key)
	for _, part := range sensitiveParts {
		if strings.Contains(key, part) {
			return true
		}
	}
	return false
}
