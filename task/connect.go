package task

// Connected is the operator with two inputs, each with an operator of its own, and
// one output.
type Connected struct{ First, Second Operator }

// Build implements [Operator].
func (c Connected) Build(ctx *Context, out Outputs) (Inputs, error) {
	first, err := c.First.Build(ctx, out)
	if err != nil {
		return nil, err
	}
	second, err := c.Second.Build(ctx, out)
	if err != nil {
		return nil, err
	}
	return Inputs{first[0], second[0]}, nil
}

// Join implements [Operator].
func (c Connected) Join(receivers []any) any { return c.First.Join(receivers) }
