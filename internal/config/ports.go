package config

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// PortRange is the ports from First to Last, both included. The range 0 to 0
// is any free port that the system picks.
type PortRange struct{ First, Last uint16 }

// String prints the range as "50100-50200", or as one number.
func (r PortRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// Ports are the ports that may be tried, in this order.
type Ports []PortRange

// String prints the ports in Flink's form, "50100-50200,50300".
func (p Ports) String() string {
	ranges := make([]string, len(p))
	for i, r := range p {
		ranges[i] = r.String()
	}
	return strings.Join(ranges, ",")
}

// All yields every port in the order of the ranges.
func (p Ports) All() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for _, r := range p {
			for port := int(r.First); port <= int(r.Last); port++ {
				if !yield(uint16(port)) {
					return
				}
			}
		}
	}
}

// parsePorts reads "50100-50200,50300". The port 0 stands alone.
func parsePorts(text string) (Ports, error) {
	var ports Ports
	for part := range strings.SplitSeq(text, ",") {
		r, err := parsePortRange(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		ports = append(ports, r)
		if len(ports) > 1 && (ports[0].First == 0 || r.First == 0) {
			return nil, errors.New("port 0 means any port and cannot be combined with others")
		}
	}
	return ports, nil
}

func parsePortRange(text string) (PortRange, error) {
	first, last, isRange := strings.Cut(text, "-")
	from, err := parsePort(strings.TrimSpace(first))
	if err != nil {
		return PortRange{}, err
	}
	if !isRange {
		return PortRange{First: from, Last: from}, nil
	}
	to, err := parsePort(strings.TrimSpace(last))
	if err != nil {
		return PortRange{}, err
	}
	if from == 0 || to < from {
		return PortRange{}, fmt.Errorf("%q is not a range of ports", clip(text))
	}
	return PortRange{First: from, Last: to}, nil
}

func parsePort(text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port", clip(text))
	}
	return uint16(port), nil
}
