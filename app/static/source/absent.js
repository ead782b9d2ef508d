// Stands in for parts that no action of the page reaches.
export class DiffEditorWidget {}
export class EmbeddedDiffEditorWidget {}
export class MultiDiffEditorWidget {}
export default {};
