package metastore_test

// childKey names the task of a child process.
const childKey = "WEIR_METASTORE_CHILD"
