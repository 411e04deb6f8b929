package dataflow

import "fmt"

// Difference says where two plans of one job differ in what the fingerprint
// covers, naming the first operator or exchange that does; it is empty if they
// do not differ. p is the plan that was submitted, other the one that main
// built elsewhere or at another time. Parallelism, settings, recorded values
// and the positions in the source are not compared.
func (p *Plan) Difference(other *Plan) string {
	if p.JobName != other.JobName {
		return fmt.Sprintf("the job's name was %q and is %q", p.JobName, other.JobName)
	}
	for i := range max(len(p.Vertices), len(other.Vertices)) {
		switch {
		case i >= len(p.Vertices):
			return fmt.Sprintf("%s is new", other.Vertices[i].describe())
		case i >= len(other.Vertices):
			return fmt.Sprintf("%s is missing", p.Vertices[i].describe())
		}
		if d := p.Vertices[i].difference(&other.Vertices[i]); d != "" {
			return d
		}
	}
	for i := range max(len(p.Exchanges), len(other.Exchanges)) {
		switch {
		case i >= len(p.Exchanges):
			return fmt.Sprintf("exchange %s is new", other.exchange(i))
		case i >= len(other.Exchanges):
			return fmt.Sprintf("exchange %s is missing", p.exchange(i))
		case !p.Exchanges[i].equal(&other.Exchanges[i]):
			return fmt.Sprintf("exchange %s was another one: %s", other.exchange(i), p.exchange(i))
		}
	}
	return ""
}

func (v *Vertex) difference(other *Vertex) string {
	for i := range max(len(v.Operators), len(other.Operators)) {
		switch {
		case i >= len(v.Operators):
			return fmt.Sprintf("%s is new in task %q", other.Operators[i].describe(), v.Name)
		case i >= len(other.Operators):
			return fmt.Sprintf("%s is missing from task %q", v.Operators[i].describe(), v.Name)
		}
		a, b := v.Operators[i], other.Operators[i]
		position := a
		a.Position, b.Position = "", ""
		if a != b {
			return fmt.Sprintf("%s was submitted, and now it is %s", position.describe(), other.Operators[i].describe())
		}
	}
	if v.ID != other.ID || v.Name != other.Name || v.Source != other.Source || v.Bounded != other.Bounded ||
		v.SlotSharingGroup != other.SlotSharingGroup {
		return fmt.Sprintf("%s was submitted, and now it is %s", v.describe(), other.describe())
	}
	return ""
}

func (v *Vertex) describe() string {
	text := fmt.Sprintf("task %q", v.Name)
	if v.Source {
		text += fmt.Sprintf(" (bounded: %t)", v.Bounded)
	}
	if v.SlotSharingGroup != "" {
		text += fmt.Sprintf(" in slot sharing group %q", v.SlotSharingGroup)
	}
	if len(v.Operators) > 0 && v.Operators[0].Position != "" {
		text += " at " + v.Operators[0].Position
	}
	return text
}

func (o *Operator) describe() string {
	text := fmt.Sprintf("%s %q (id %s", o.Kind, o.Name, o.ID)
	if o.OutputType != "" {
		text += ", output " + o.OutputType
	}
	if o.Side != "" {
		text += fmt.Sprintf(", from side output %q", o.Side)
	}
	if o.Stateful {
		text += ", stateful"
	}
	text += ")"
	if o.Position != "" {
		text += " at " + o.Position
	}
	return text
}

func (p *Plan) exchange(i int) string {
	e := &p.Exchanges[i]
	text := fmt.Sprintf("from %q to %q, %s of %s", p.vertexName(e.From), p.vertexName(e.To), e.Partitioning, e.RecordType)
	if e.Side != "" {
		text += fmt.Sprintf(" of its side output %q", e.Side)
	}
	if e.Ordinal > 0 {
		text += ", second input"
	}
	if e.KeyType != "" {
		text += " by " + e.KeyType
	}
	if e.PreAggregated {
		text += ", pre-aggregated"
	}
	return text
}

func (p *Plan) vertexName(i int) string {
	if i < 0 || i >= len(p.Vertices) {
		return fmt.Sprintf("vertex %d", i)
	}
	return p.Vertices[i].Name
}

func (e *Exchange) equal(other *Exchange) bool {
	return e.From == other.From && e.FromOperator == other.FromOperator && e.Side == other.Side &&
		e.To == other.To && e.Ordinal == other.Ordinal && e.Partitioning == other.Partitioning &&
		e.RecordType == other.RecordType && e.KeyType == other.KeyType && e.PreAggregated == other.PreAggregated
}
