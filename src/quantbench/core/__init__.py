"""Pure core: config, plan, results, statistics. No clock, no disk, no model libraries."""
