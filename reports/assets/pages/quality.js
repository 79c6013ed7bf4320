// Data quality: is everything that was delivered accounted for, what is missing, what do past forecasts say.
RETOUR.page("quality", [], function (content, data) {
  "use strict";
  var R = RETOUR, h = R.h;
  var files = data.reconciliation.list();
  function sum(key) { return files.reduce(function (total, r) { return total + Math.abs(r[key] || 0); }, 0); }
  var tests = R.site.tests.list()[0] || {};
  var coverage = R.site.coverage.list();
  function count(status) { return coverage.filter(function (r) { return r.status === status; }).length; }
  R.figures(content, [
    { label: "Rows read", value: R.int(sum("rows_read")), key: "rows_read", raw: sum("rows_read") },
    { label: "Set aside", value: R.int(sum("rejected_rows")), key: "rejected_rows", raw: sum("rejected_rows"),
      note: sum("rows_read") ? R.pct(sum("rejected_rows") / sum("rows_read"), 2) + " of the rows, each with its reason" : null },
    { label: "Rows missing", value: R.int(sum("rows_difference")), key: "rows_difference", raw: sum("rows_difference"),
      help: "Rows of the files that are in no table and were not set aside." },
    { label: "Money missing", value: R.num(sum("amount_difference"), 2), key: "amount_difference", raw: sum("amount_difference") },
    { label: "Tests passed", value: R.int(tests.passed) + " of " + R.int(tests.tests), key: "tests", raw: tests.passed },
    { label: "Tables complete", value: R.int(count("complete")) + " of " + R.int(coverage.length), key: "complete", raw: count("complete"),
      note: R.int(count("partial")) + " partial, " + R.int(count("empty")) + " empty" },
  ]);
  R.card(content, { title: "Every row and cent", sub: "rows read = order lines + returns + others + excluded + set aside", sql: ["reconciliation"],
    empty: files.length ? null : R.why("row_reconciliation"),
    table: { rows: files, columns: fileColumns() },
    body: function (card) { card.appendChild(R.table(fileColumns(), files, { caption: "Every row and cent",
      rowClass: function (r) { return r.rows_difference || r.amount_difference ? "chosen" : null; } })); } });
  function fileColumns() {
    return [{ key: "file", label: "File", format: function (v) { return R.cut(v, 60); } }].concat(
      [["rows_read", "Rows read"], ["order_line_rows", "Order lines"], ["return_rows", "Returns"], ["entity_rows", "Others"],
        ["excluded_rows", "Excluded"], ["rejected_rows", "Set aside"], ["rows_difference", "Missing"]].map(function (pair) {
        return { key: pair[0], label: pair[1], number: true, format: R.int }; }),
      [["amount_read", "Money read"], ["rejected_amount", "Set aside"], ["amount_difference", "Missing"]].map(function (pair) {
        return { key: pair[0], label: pair[1], number: true, format: function (v) { return R.num(v, 2); } }; }));
  }

  var rejected = data.rejected.list();
  var top = rejected.slice(0, 14);
  R.card(content, { title: "Why rows were set aside", span: 6, sql: ["rejected"], height: 70 + 25 * top.length,
    empty: rejected.length ? null : "No row was set aside.",
    summary: rejected.length ? "Most frequent reasons: " + top.slice(0, 4).map(function (r) { return R.words(r.reasons) + " " + R.int(r.rows); }).join(", ") + "." : null,
    table: { rows: rejected, columns: [{ key: "input_table", label: "Table" }, { key: "reasons", label: "Reasons", long: true },
      { key: "rows", label: "Rows", number: true, format: R.int }, { key: "example_file", label: "Example: file" },
      { key: "example_row", label: "row", number: true }] },
    note: rejected.length ? "The rows themselves are in marts.rejected_rows, personal columns pseudonymised." : null,
    chart: function (element) {
      // by place, not by name: two names that are cut alike stay two bars
      var places = top.map(function (r, i) { return i; });
      R.plot(element, function () {
        return [{ type: "bar", orientation: "h", x: top.map(function (r) { return r.rows; }), y: places,
          customdata: top.map(function (r) { return R.label(R.words(r.reasons) + " (" + R.words(r.input_table).toLowerCase() + ")", 90); }),
          marker: { color: R.colour("accent") }, hovertemplate: "%{customdata}: %{x:,}<extra></extra>" }];
      }, function () {
        return { yaxis: { autorange: "reversed", tickvals: places, ticktext: top.map(function (r) {
          return R.isNarrow() ? R.label(R.words(r.reasons), 27)
            : R.label(R.words(r.reasons) + " (" + R.words(r.input_table).toLowerCase() + ")", 56); }), showgrid: false, zeroline: false },
        xaxis: { rangemode: "tozero", nticks: 4, tickformat: ",d", tickangle: 0 } };
      });
    } });

  var gaps = coverage.filter(function (r) { return r.status !== "complete"; });
  R.card(content, { title: "What is missing in the data", sub: R.plural(gaps.length, "table"), span: 6, sql: ["coverage"],
    empty: gaps.length ? null : "The source brings what every table needs.",
    table: { rows: coverage, columns: coverageColumns(true) },
    body: function (card) { card.appendChild(R.table(coverageColumns(false), gaps, { caption: "What is missing in the data", limit: 10 })); } });
  // what is not all is not 100.0 %
  function almost(share) {
    var digits = 1;
    while (share < 1 && digits < 3 && 100 * share >= 100 - 0.5 * Math.pow(10, -digits)) digits += 1;
    return share < 1 && 100 * share >= 100 - 0.5 * Math.pow(10, -digits) ? "> 99.999 %" : R.pct(share, digits);
  }
  function coverageColumns(plain) {
    return [{ key: "mart", label: "Table" }, { key: "status", label: "Status", cell: plain ? null : function (r) {
      return h("span", { class: "tag " + (r.status === "empty" ? "bad" : "watch") }, r.status); } },
    { key: "fact_share", label: "Share covered", number: true, format: almost }, { key: "reason", label: "What is missing", long: true }];
  }

  // past projections: what was said thirty days after, and what came
  var past = data.backtest.list();
  var inside = past.filter(function (r) { return r.is_covered; }).length;
  R.card(content, { title: "What past projections were worth", metric: "projection_error", span: 7, height: 300, sql: ["backtest"],
    sub: "the last 30 days as known at each month-end, and how they ended", empty: past.length ? null : R.why("return_projection_backtest"),
    summary: past.length ? "In " + inside + " of " + past.length + " past month-ends the final return rate lay in the interval that was given." : null,
    note: past.length ? "In " + inside + " of " + past.length + " the outcome lies in the " + R.limit("interval_confidence_percent")
      + " % interval. Grey: what a dashboard would have shown that day." : null,
    table: { rows: past, columns: [{ key: "known_on", label: "Known on" }, { key: "lines", label: "Lines", number: true, format: R.int },
      { key: "maturity", label: "Had come", number: true, format: R.pct }, { key: "naive_rate", label: "Seen then", number: true, format: R.pct },
      { key: "projected_rate", label: "Projected", number: true, format: R.pct }, { key: "projected_lo", label: "from", number: true, format: R.pct },
      { key: "projected_hi", label: "to", number: true, format: R.pct }, { key: "final_rate", label: "Came", number: true, format: R.pct },
      { key: "error", label: "Off by", number: true, format: R.pct }] },
    chart: function (element) {
      R.plot(element, function () {
        var x = past.map(function (r) { return r.known_on; });
        return [
          { type: "bar", name: "seen then", x: x, y: past.map(function (r) { return R.percent(r.naive_rate); }), marker: { color: R.colour("line") },
            hovertemplate: "seen then %{y:.1f} %<extra></extra>" },
          { type: "scatter", mode: "markers", name: "projected", x: x, y: past.map(function (r) { return R.percent(r.projected_rate); }),
            marker: { size: 8, color: R.colour("accent") }, error_y: Object.assign(R.interval(past, "projected_rate", "projected_lo", "projected_hi", 100),
              { color: R.colour("accent") }), hovertemplate: "projected %{y:.1f} %<extra></extra>" },
          { type: "scatter", mode: "markers", name: "came", x: x, y: past.map(function (r) { return R.percent(r.final_rate); }),
            marker: { size: 9, symbol: "diamond", color: R.colour("second") }, hovertemplate: "came %{y:.1f} %<extra></extra>" }];
      }, { showlegend: true, hovermode: "x unified", xaxis: { type: "date", tickformat: "%b\n%Y", showgrid: false, nticks: 8, tickangle: 0, hoverformat: "%-d %B %Y" },
        yaxis: { ticksuffix: " %", rangemode: "tozero", nticks: 6 } });
    } });

  var failed = data.test_results.list().filter(function (r) { return r.status !== "pass"; });
  R.card(content, { title: "Tests of the last build", span: 5, sql: ["test_results"],
    empty: data.test_results.rows ? null : "No test is recorded for the last build.",
    table: { rows: data.test_results.list(), columns: testColumns() },
    body: function (card) {
      card.appendChild(h("p", {}, failed.length ? h("span", { class: "tag bad" }, R.plural(failed.length, "test") + " failed")
        : h("span", { class: "tag good" }, "All " + R.int(data.test_results.rows) + " passed"),
      " A test is a claim about the numbers: if one fails, nothing is published."));
      card.appendChild(R.table(testColumns(), failed.length ? failed : data.test_results.list(), { caption: "Tests", limit: 7 }));
    } });
  function testColumns() {
    return [{ key: "test", label: "Test", format: function (v) { return R.words(String(v).replace(/^assert_/, "")); } },
      { key: "status", label: "Result" }, { key: "execution_seconds", label: "Seconds", number: true, format: R.num }];
  }
  R.card(content, { title: "What each number means", sub: R.plural(R.definitions.length, "definition") + ", marts.metric_definitions",
    table: { rows: R.definitions, columns: definitionColumns(true) },
    empty: R.definitions.length ? null : R.why("metric_definitions"),
    body: function (card) { card.appendChild(R.table(definitionColumns(false), R.definitions, { caption: "Definitions", limit: 8, sortable: true })); } });
  function definitionColumns(plain) {
    return [{ key: "metric", label: "Number", format: plain ? null : R.words }, { key: "definition", label: "Definition", long: true },
      { key: "formula", label: "Formula", long: plain }, { key: "mart", label: "Table" }, { key: "column_name", label: "Column" },
      { key: "unit", label: "Unit" }];
  }
  var landed = data.files.list();
  R.card(content, { title: "Files", sub: R.plural(landed.length, "file"), sql: ["files"], empty: landed.length ? null : R.why("load_files"),
    table: { rows: landed, columns: landedColumns() },
    body: function (card) { card.appendChild(R.table(landedColumns(), landed, { caption: "Files", limit: 8, sortable: true })); } });
  function landedColumns() {
    return [{ key: "file", label: "File", format: function (v) { return R.cut(v, 60); } }, { key: "format", label: "Format" },
      { key: "file_bytes", label: "Bytes", number: true, format: R.int }, { key: "rows_read", label: "Rows", number: true, format: R.int },
      { key: "rows_rejected", label: "Not landed", number: true, format: R.int }, { key: "status", label: "Status" },
      { key: "landed_at", label: "Landed (UTC)" }, { key: "message", label: "Message" }];
  }
});
