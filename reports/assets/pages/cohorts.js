// Cohorts: who stays, how returns arrive, and what is still to come.
RETOUR.page("cohorts", [], function (content, data) {
  "use strict";
  var R = RETOUR, h = R.h;

  // retention: months down, age across
  var rows = data.cohorts.list();
  var months = [];
  rows.forEach(function (r) { if (months.indexOf(r.cohort_month) < 0) months.push(r.cohort_month); });
  months = months.slice(-18);
  var oldest = Math.min(17, Math.max.apply(null, [0].concat(rows.map(function (r) { return r.month_number; }))));
  var ages = [];
  for (var age = 1; age <= oldest; age++) ages.push(age);
  R.card(content, { title: "Customers who come back to buy", metric: "retention_rate", sql: ["cohorts"],
    sub: "share of those who first bought in a month, by months since", empty: rows.length ? null : R.why("cohort_retention"),
    table: { rows: rows, columns: [{ key: "cohort_month", label: "First bought", format: R.month },
      { key: "month_number", label: "Months since", number: true, format: R.int },
      { key: "cohort_size", label: "Customers", number: true, format: R.int },
      { key: "active_customers", label: "Active", number: true, format: R.int },
      { key: "retention_rate", label: "Retention", number: true, format: R.pct },
      { key: "kept_retention_rate", label: "Kept something", number: true, format: R.pct },
      { key: "net_revenue", label: "Kept money", number: true, format: R.money },
      { key: "return_rate", label: "Return rate so far", number: true, format: R.pct },
      { key: "is_complete", label: "Month is over" }] },
    body: function (card) {
      card.appendChild(R.heat("Customers who come back to buy", "First bought", months.map(function (month) {
        var own = rows.filter(function (r) { return r.cohort_month === month; });
        return { name: R.month(month), size: own[0].cohort_size, isSmall: own[0].cohort_size < R.limit("report_small_lines"),
          cells: ages.map(function (age) {
            var cell = own.filter(function (r) { return r.month_number === age; })[0];
            if (!cell) return null;
            return cell.retention_rate === null ? { open: true, title: "not over yet" }
              : { value: cell.retention_rate, text: R.num(100 * cell.retention_rate, 0),
                title: R.int(cell.active_customers) + " of " + R.int(cell.cohort_size) };
          }) };
      }), ages, "Customers", 0.75));
    },
    note: "In per cent." + (rows.some(function (r) { return r.month_number > 0 && r.retention_rate === null; })
      ? " Hatched: the month is not over, so nobody can say yet." : "")
      + (rows.some(function (r) { return r.cohort_size < R.limit("report_small_lines"); }) ? " Grey: fewer than "
      + R.limit("report_small_lines") + " customers." : "") });

  // how returns arrive
  var curve = data.completion.list();
  function ageOf(share) { var found = curve.filter(function (r) { return r.completion >= share; })[0]; return found ? found.age_days : null; }
  R.card(content, { title: "How returns arrive", metric: "completion", sub: "share of all returns that have come by age",
    span: 7, sql: ["completion"], height: 290, empty: curve.length ? null : R.why("return_completion_curve"),
    summary: curve.length ? "Half of the returns have come after " + R.int(ageOf(0.5)) + " days, nine in ten after "
      + R.int(ageOf(0.9)) + " days." : null,
    note: curve.length ? "Half have come after " + R.int(ageOf(0.5)) + " days, nine in ten after " + R.int(ageOf(0.9))
      + " days. Band: 90 % interval." : null,
    table: { rows: curve, columns: [{ key: "age_days", label: "Days since the order", number: true, format: R.int },
      { key: "completion", label: "Have come", number: true, format: R.pct },
      { key: "completion_lo", label: "from", number: true, format: R.pct },
      { key: "completion_hi", label: "to", number: true, format: R.pct },
      { key: "return_count", label: "Returns of this age", number: true, format: R.int }] },
    chart: function (element) {
      var shown = curve.filter(function (r) { return r.age_days <= 90; });
      R.plot(element, function () {
        var x = shown.map(function (r) { return r.age_days; });
        return [
          { type: "scatter", mode: "lines", x: x, y: shown.map(function (r) { return R.percent(r.completion_lo); }),
            line: { width: 0 }, hoverinfo: "skip" },
          { type: "scatter", mode: "lines", x: x, y: shown.map(function (r) { return R.percent(r.completion_hi); }),
            fill: "tonexty", fillcolor: R.colour("accent-soft"), line: { width: 0 }, hoverinfo: "skip" },
          { type: "scatter", mode: "lines", x: x, y: shown.map(function (r) { return R.percent(r.completion); }),
            line: { color: R.colour("accent"), width: 2.4 },
            hovertemplate: "after %{x} days %{y:.1f} %<extra></extra>" }];
      }, { xaxis: { title: { text: "days since the order" }, rangemode: "tozero", nticks: 10 },
        yaxis: { ticksuffix: " %", range: [0, 101], nticks: 6 } });
    } });

  var speeds = data.completion_categories.list();
  R.card(content, { title: "How fast, by category", span: 5, sql: ["completion_categories"],
    empty: speeds.length ? null : R.why("return_completion_curve"),
    table: { rows: speeds, columns: speedColumns() },
    body: function (card) { card.appendChild(R.table(speedColumns(), speeds, { caption: "How fast, by category", sortable: true })); } });
  function speedColumns() {
    return [{ key: "category", label: "Category" }, { key: "returns", label: "Returns", number: true, format: R.int },
      { key: "half_days", label: "Days until half", number: true, format: R.int },
      { key: "most_days", label: "Days until nine in ten", number: true, format: R.int }];
  }


  // the newest months at the same age
  var triangle = data.triangle.list();
  var sold = [];
  triangle.forEach(function (r) { if (sold.indexOf(r.sale_month) < 0) sold.push(r.sale_month); });
  sold = sold.slice(-6);
  R.card(content, { title: "Months at the same age", metric: "cumulative_line_rate", span: 7, sql: ["triangle"],
    sub: "lines that had come back, by weeks since the sale", height: 290,
    empty: triangle.length ? null : R.why("return_triangle"),
    summary: "Share of the lines sold in a month that had come back, by weeks since the sale: "
      + sold.map(function (month) {
        var own = data.triangle.where({ sale_month: month, is_complete: true });
        var last = own[own.length - 1];
        return R.month(month) + (last ? " " + R.pct(last.cumulative_line_rate) + " after " + last.age_week + " weeks" : " too young");
      }).join(", ") + ".",
    table: { rows: triangle, columns: [{ key: "sale_month", label: "Month", format: R.month },
      { key: "age_week", label: "Weeks", number: true }, { key: "sold_lines", label: "Sold lines", number: true, format: R.int },
      { key: "cumulative_returned_lines", label: "Returned", number: true, format: R.int },
      { key: "cumulative_line_rate", label: "Share", number: true, format: R.pct },
      { key: "is_complete", label: "Age is over" }] },
    note: "Only ages that all lines of a month have reached. The newest month is the thick line.",
    chart: function (element) {
      R.plot(element, function () {
        return sold.map(function (month, i) {
          var own = data.triangle.where({ sale_month: month, is_complete: true });
          var newest = i === sold.length - 1 || i === sold.length - 2 && !data.triangle.where({
            sale_month: sold[sold.length - 1], is_complete: true }).length;
          return { type: "scatter", mode: own.length > 1 ? "lines" : "lines+markers", name: R.month(month),
            x: own.map(function (r) { return r.age_week; }), y: own.map(function (r) { return R.percent(r.cumulative_line_rate); }),
            line: { color: R.colour(newest ? "accent" : i === sold.length - 2 ? "second" : "quiet"),
              width: newest ? 3 : 1.4, dash: ["solid", "dot", "dash", "dashdot", "solid", "solid"][i] },
            hovertemplate: R.month(month) + ": %{y:.1f} % after %{x} weeks<extra></extra>" };
        });
      }, { showlegend: true, xaxis: { title: { text: "weeks since the sale" }, dtick: 2, rangemode: "tozero" },
        yaxis: { ticksuffix: " %", rangemode: "tozero", nticks: 6 } });
    } });

  // the standard error of the difference stands in its z
  var delays = data.delays.list().map(function (r) {
    var error = r.rate_z ? Math.abs((r.recent_rate - r.reference_rate) / r.rate_z) : null;
    return Object.assign({}, r, { recent_lo: error === null ? null : Math.max(0, r.recent_rate - 1.645 * error),
      recent_hi: error === null ? null : Math.min(1, r.recent_rate + 1.645 * error) });
  });
  R.card(content, { title: "Late, or fewer?", sub: "whether returns stand still or the rate moves", span: 5, sql: ["delays"],
    empty: delays.length ? null : R.why("return_delays"),
    table: { rows: delays, columns: delayColumns(true) },
    note: delays.length ? "Recent rate: of the last four weeks of sales of which 30 % of the returns have come, in 90 % of cases within the"
      + " interval by chance. It asks only whether something moved; the return rate of a month is the projected one. Rising or"
      + " falling takes " + R.limit("rate_change_min_z") + " standard errors and " + R.limit("rate_change_min_percent")
      + " % of the quarter before." : null,
    body: function (card) { card.appendChild(R.table(delayColumns(), delays, { caption: "Delays",
      rowClass: function (r) { return r.status === "on_time" ? null : "chosen"; } })); } });
  function delayColumns(plain) {
    return [{ key: "marketplace", label: "Marketplace" }, { key: "status", label: "Returns", format: R.words },
      { key: "lag_days", label: "Days late", number: true, format: R.int },
      { key: "rate_status", label: "Rate", format: function (v, r) {
        return v !== "steady" ? R.words(v) : Math.abs(r.rate_z) <= 1.645 ? "Steady: within chance" : "Steady: too little to be sure"; } },
      { key: "recent_rate", label: "Recent rate", number: true, format: function (v, r) {
        return plain || r.recent_lo === null ? R.pct(v)
          : R.pct(v) + " (" + R.num(100 * r.recent_lo, 0) + " to " + R.num(100 * r.recent_hi, 0) + ")"; } },
      plain ? { key: "recent_lo", label: "from", number: true, format: R.pct } : null,
      plain ? { key: "recent_hi", label: "to", number: true, format: R.pct } : null,
      { key: "reference_rate", label: "Quarter before", number: true, format: R.pct }].filter(Boolean);
  }

  var forecast = data.forecast.list();
  R.card(content, { title: "Units expected back", metric: "expected_return_units", sub: "by week, for the warehouse", span: 6,
    sql: ["forecast"], height: 270, empty: forecast.length ? null : R.why("return_forecast"),
    summary: "Units expected back: " + forecast.map(function (r) { return "week of " + R.day(r.first_day) + " "
      + R.int(r.expected_units) + " (" + R.int(r.expected_lo) + " to " + R.int(r.expected_hi) + ")"; }).join(", ") + ".",
    note: "Lines: 90 % interval." + (forecast.length && forecast[0].first_day > forecast[0].week_start
      ? " The first bar is the rest of its week, from " + R.day(forecast[0].first_day) + " on." : ""),
    table: { rows: forecast, columns: [{ key: "first_day", label: "From" }, { key: "last_day", label: "To" },
      { key: "expected_units", label: "Units", number: true, format: R.int },
      { key: "expected_lo", label: "from", number: true, format: R.int },
      { key: "expected_hi", label: "to", number: true, format: R.int }] },
    chart: function (element) {
      R.plot(element, function () {
        return [{ type: "bar", x: forecast.map(function (r) { return r.week_start; }),
          y: forecast.map(function (r) { return r.expected_units; }),
          marker: { color: R.colour("card"), line: { color: R.colour("accent"), width: 1 }, pattern: R.hatch(R.colour("accent")) },
          error_y: R.interval(forecast, "expected_units", "expected_lo", "expected_hi"),
          customdata: forecast.map(function (r) { return [R.int(r.expected_lo), R.int(r.expected_hi)]; }),
          hovertemplate: "week of %{x|%-d %B}: %{y:.0f} units<br>%{customdata[0]} to %{customdata[1]}<extra></extra>" }];
      }, function () {
        return { xaxis: { type: "date", tickformat: "%-d %b", dtick: (R.isNarrow() ? 21 : 7) * 864e5,
          tick0: forecast.length ? forecast[0].week_start : null, showgrid: false, tickangle: 0 },
        yaxis: { rangemode: "tozero", nticks: 6 } };
      });
    } });

  var reserve = data.liability.list();
  var newest = reserve[reserve.length - 1];
  R.card(content, { title: "Refunds still to come", metric: "refund_liability", span: 6, sql: ["liability"], height: 270,
    sub: "at each month-end, and what was refunded in the end", empty: reserve.length ? null : R.why("refund_liability"),
    summary: newest ? "Refunds still to come on " + R.day(newest.known_on) + ": " + R.money(newest.liability_amount, newest.currency)
      + ", " + R.money(newest.liability_lo) + " to " + R.money(newest.liability_hi) + "." : null,
    note: "Lines: 90 % interval. Diamonds: refunded in the end, where nearly all is decided.",
    table: { rows: reserve, columns: [{ key: "known_on", label: "On" },
      { key: "liability_amount", label: "Still to come", number: true, format: R.money },
      { key: "liability_lo", label: "from", number: true, format: R.money },
      { key: "liability_hi", label: "to", number: true, format: R.money },
      { key: "return_asset_amount", label: "Goods back, at cost", number: true, format: R.money },
      { key: "realised_refund_amount", label: "Refunded since", number: true, format: R.money },
      { key: "error_rate", label: "Off by", number: true, format: R.pct }] },
    chart: function (element) {
      var final = reserve.filter(function (r) { return r.is_final; });
      // a month-end stands under the name of its month
      function month(r) { return r.known_on.slice(0, 7) + "-01"; }
      R.plot(element, function () {
        return [{ type: "bar", name: "reserved", x: reserve.map(month),
          y: reserve.map(function (r) { return r.liability_amount; }), marker: { color: R.colour("accent-soft") },
          error_y: R.interval(reserve, "liability_amount", "liability_lo", "liability_hi"),
          customdata: reserve.map(function (r) { return R.day(r.known_on); }),
          hovertemplate: "%{customdata}: %{y:,.0f} reserved<extra></extra>" },
        { type: "scatter", mode: "markers", name: "refunded in the end", x: final.map(month),
          y: final.map(function (r) { return r.realised_refund_amount; }),
          marker: { symbol: "diamond", size: 9, color: R.colour("second") },
          customdata: final.map(function (r) { return R.day(r.known_on); }),
          hovertemplate: "%{customdata}: %{y:,.0f} refunded<extra></extra>" }];
      }, { showlegend: true, xaxis: R.MONTHS(reserve.length),
        yaxis: { rangemode: "tozero", tickformat: "~s", title: { text: R.label(newest ? newest.currency : "") }, nticks: 6 } });
    } });
});
